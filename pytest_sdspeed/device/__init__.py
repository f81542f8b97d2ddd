"""What torch and the system say of this machine."""
