"""Measuring under pytest-xdist: every worker on a GPU or on cores of its own, and one record, which the controller keeps."""
