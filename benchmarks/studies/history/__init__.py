"""The parts of `history_replay.py`: nightlies, rules, scoring, simulated series, tables."""
