"""Rules of histories: lasting changes, and what caused them."""
