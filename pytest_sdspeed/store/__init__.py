"""Runs on their way to the disk, through pytest-benchmark: whole or not at all, with pictures."""
