"""Vector indexes: read vectors, build an index, search exactly, and count how much of the truth an index finds."""
