"""Diffusers pipelines: where they come from, what optimizes them, and where their time goes."""
