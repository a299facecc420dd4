"""Choosing a configuration. `measure` is passed in: this package starts no server and drives no load."""
