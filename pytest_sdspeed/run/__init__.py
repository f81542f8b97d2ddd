"""One run, without pytest: its targets and campaigns, what they are held to, and what came of them."""
