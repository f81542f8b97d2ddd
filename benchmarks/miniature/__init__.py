"""How the embedded miniature is made: pictures that this project draws, and models of them."""
