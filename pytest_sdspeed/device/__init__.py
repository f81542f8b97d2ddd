"""What torch and the system tell about this machine."""
