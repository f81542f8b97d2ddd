"""Measuring: blocks, clock, synchronization and memory, of callables on any clock."""
