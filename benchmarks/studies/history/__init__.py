"""What `history_replay.py` is made of: nightlies, rules of this project and of its peers, how they are scored, simulated series, tables."""
