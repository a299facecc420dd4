"""PNG or JPEG bytes to one float tensor."""
