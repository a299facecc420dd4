"""The command line: each command parses, makes one library call and shows what came of it."""

from __future__ import annotations

from toolkit.cli.app import app, main

__all__ = ["app", "main"]
