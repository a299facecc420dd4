"""The best of scored candidates, in the order of their scores."""
