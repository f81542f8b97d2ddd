"""Commands of ``python -m pytest_sdspeed`` that take more than a few lines."""
