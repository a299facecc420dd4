"""A query vector to its nearest neighbours in a FAISS index."""
