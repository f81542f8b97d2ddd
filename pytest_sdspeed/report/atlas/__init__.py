"""The atlas: one page with every table and every row, and what is known about each."""
