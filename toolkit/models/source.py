"""A Source: the customer's model as data. Nothing here executes or unpickles anything.

In: a path, or `path/to/file.py:factory`. Out: a Source, or ModelRefused with the reason and the mend.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model that can be loaded by the worker. `entry` is the factory's name for a `.py` file, else None."""

    path: Path
    entry: str | None
    framework: str
    sha256: str
    trusted: bool = False
