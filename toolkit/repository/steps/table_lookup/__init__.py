"""Ids to the rows of a table, and which of them the table knows."""
