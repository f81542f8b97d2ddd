"""``--sd-against``: two versions side by side, each in a process of its own, in one run."""
