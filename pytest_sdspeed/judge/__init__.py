"""Pure rules: speed-ups and when to stop, pictures and their gates. No torch, no pytest."""
