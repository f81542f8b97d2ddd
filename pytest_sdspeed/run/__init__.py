"""One run, without pytest: its targets and campaigns, its criteria, and what came of them."""
