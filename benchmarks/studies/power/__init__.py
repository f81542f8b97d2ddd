"""What `gate_power.py` is made of: noise, simulated campaigns, the rules of this project and of its peers, and the report."""
