"""Stored runs, read back as histories."""
