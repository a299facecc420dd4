"""`toolkit infer`: one request to a served model, for eyes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.export.arrays import read_arrays
from toolkit.serve.client import endpoint_from_url, infer, model_signature
from toolkit.workflow.sweep import seeded_inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One output of a model as plain data."""

    output: str
    dtype: str
    shape: tuple[int, ...]
    values: Any


def infer_once(url: str, model: str, samples: Path | None) -> tuple[Answered, ...]:
    """Send the first sample (or a seeded one) to a model and return what it answers. Raises ServerTrouble."""
    endpoint = endpoint_from_url(url)
    inputs = read_arrays(samples) if samples else seeded_inputs(model_signature(endpoint, model), (), 1)
    outputs = infer(endpoint, model, {name: array[:1] for name, array in inputs.items()})
    return tuple(
        Answered(output=n, dtype=str(a.dtype), shape=a.shape, values=_plain(a.tolist())) for n, a in outputs.items()
    )


def _plain(values: Any) -> Any:
    if isinstance(values, list):
        return [_plain(v) for v in values]
    return values.decode(errors="replace") if isinstance(values, bytes) else values
