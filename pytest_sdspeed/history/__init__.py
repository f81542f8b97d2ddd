"""Stored runs: what is written through pytest-benchmark, and what is read back."""
