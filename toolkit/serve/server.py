"""An Endpoint: where a server listens. A Server: one that we started, a context manager that leaves nothing behind."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Addresses without a scheme, `host:port`. `grpc` and `metrics` are empty where they are not known."""

    http: str
    grpc: str = ""
    metrics: str = ""
