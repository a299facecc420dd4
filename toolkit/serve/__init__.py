"""Starting a Triton Inference Server and talking to its management endpoints."""
