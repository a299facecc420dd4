"""PoC Toolkit for Triton: from a customer's model to a measured, sized and deployable decision.

Importing this package loads no optional dependency: stages are imported by name (`from toolkit.export import ...`).
"""

from __future__ import annotations

import os

# ONNX Runtime for Linux sends usage to its maker, unless this is set before it is loaded (its Privacy.md). Every
# process that the toolkit starts inherits it; whoever wants it otherwise sets it to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
