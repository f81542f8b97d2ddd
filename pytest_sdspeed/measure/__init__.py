"""Measuring: blocks, clock, synchronization and memory. It takes callables and a clock, and knows nothing of pipelines."""
