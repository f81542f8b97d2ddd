"""Rules of speed: log ratios of blocks, their intervals, and when a campaign may stop."""
