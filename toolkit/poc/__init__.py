"""A PoC folder: `poc.yaml` and what it names. The only package that knows how such a folder looks.

In: a folder, and what the command line changes about it. Out: a Poc, every default filled in, or a
ConfigurationError that names the file and the field. Nothing is run.
"""

from toolkit.poc.file import Poc
from toolkit.poc.read import FILE, merged, read_poc, read_resolved

__all__ = ["FILE", "Poc", "merged", "read_poc", "read_resolved"]
