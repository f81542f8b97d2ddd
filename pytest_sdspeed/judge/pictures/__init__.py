"""Rules of pictures: metrics, gates, and what is shown of them."""
