"""What the dry run says of the documented tables."""
