"""The dry run: a device that only counts, and the limits of real ones."""
