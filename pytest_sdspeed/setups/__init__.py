"""Optimizations, architectures and pipelines: what turns a recipe and a stack into something that draws."""
