"""GPUs of a catalogue file: memory, bandwidth, dense FLOP/s by precision, power; each with its source.

In: a YAML file, the shipped one unless another is named. Out: Accelerators. Whatever is computed from them is a bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from toolkit.errors import ConfigurationError, UsageError
from toolkit.records import SCHEMA, from_data, read_yaml

FILE = Path(__file__).with_name("catalogue.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """One GPU. `memory_gb` and `bandwidth_gb_per_s` in 10^9 bytes, `tflops` dense, by the precision of the operands.

    `source` is the vendor's data sheet; `compared` a public copy that the figures were compared with on `date`.
    """

    memory_gb: float
    bandwidth_gb_per_s: float
    tflops: dict[str, float]
    tdp_w: float
    source: str
    date: str
    compared: str = ""
    nic_gbit_per_s: float | None = None

    def flops(self, precision: str) -> float | None:
        """Floating-point operations a second at a precision of the operands; None where the data sheet names none."""
        found = self.tflops.get(precision)
        return None if found is None else found * 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Accelerators by name."""

    gpus: dict[str, Accelerator]


def read_catalogue(path: Path = FILE) -> Catalogue:
    """Read a catalogue. Raises ConfigurationError that names file and field, for a figure without a source too."""
    data = read_yaml(path)
    if data.pop("schema", None) != SCHEMA:
        raise ConfigurationError(f"{path}: schema is missing or not {SCHEMA}", mend=f"write `schema: {SCHEMA}` on top")
    for entry in (data.get("gpus") or {}).values():
        if isinstance(entry, dict) and isinstance(entry.get("date"), date):
            entry["date"] = entry["date"].isoformat()
    catalogue: Catalogue = from_data(Catalogue, data, str(path))
    for name, gpu in catalogue.gpus.items():
        if "://" not in gpu.source or not gpu.date:
            raise ConfigurationError(
                f"{path}: gpus.{name} has no source with its date", mend="name the data sheet's URL"
            )
        if min(gpu.memory_gb, gpu.bandwidth_gb_per_s, gpu.tdp_w, *gpu.tflops.values()) <= 0:
            raise ConfigurationError(f"{path}: gpus.{name} has a figure that is not more than 0")
    return catalogue


def chosen(catalogue: Catalogue, names: tuple[str, ...]) -> dict[str, Accelerator]:
    """The accelerators whose names are given (case does not matter), all without names. Raises UsageError."""
    if not names:
        return catalogue.gpus
    known = {name.lower(): name for name in catalogue.gpus}
    for name in names:
        if name.lower() not in known:
            raise UsageError(
                f"--gpu {name} is not in the catalogue; it has {', '.join(catalogue.gpus)}",
                mend="--catalogue FILE, with its data sheet as the source",
            )
    return {known[name.lower()]: catalogue.gpus[known[name.lower()]] for name in names}
