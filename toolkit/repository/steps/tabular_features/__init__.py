"""A JSON record to numbers and category codes."""
