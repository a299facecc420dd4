"""PoC Toolkit for Triton: from a customer's model to a measured, sized and deployable decision.

Importing this package loads no optional dependency: stages are imported by name (`from toolkit.export import ...`).
"""

from __future__ import annotations

__version__ = "0.1.0"
