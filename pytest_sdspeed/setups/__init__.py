"""Setups: a name resolves to a row of a table, and the row to a pipeline that draws."""
