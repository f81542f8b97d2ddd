"""The parts of `gate_power.py`: noise, simulated campaigns, rules, studies, and the report."""
