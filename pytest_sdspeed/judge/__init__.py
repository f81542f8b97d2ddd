"""Pure rules: the speed-up, its interval and when to stop, picture metrics and gates. No torch, no pytest."""
