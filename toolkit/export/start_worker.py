"""Starts the worker under a Python that has not installed the toolkit: `PYTHON -P start_worker.py request.json ...`.

Only the package `toolkit` is made known, by its place. Its parent folder on the import path would bring along whatever
else is installed there, numpy of another version above all.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def known() -> None:
    """Make the package that this file lies in importable, and nothing else."""
    root = Path(__file__).resolve().parents[1]
    spec = importlib.util.spec_from_file_location(
        root.name, root / "__init__.py", submodule_search_locations=[str(root)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{root} is no package")
    sys.modules[root.name] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


def main() -> int:
    """Serve the request."""
    known()
    from toolkit.export.worker import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
