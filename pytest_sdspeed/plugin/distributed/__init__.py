"""Measuring under pytest-xdist: each worker has its own GPU or cores, the controller the record."""
