"""Pipelines of diffusers: their sources, their optimizations, and where their time goes."""
