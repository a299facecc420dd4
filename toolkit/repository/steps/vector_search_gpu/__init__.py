"""A query vector to its nearest neighbours in a cuVS index on a GPU."""
