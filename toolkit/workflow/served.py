"""How the models of a run were served: what sizing fits its queues to. From the run's repository, or as it was told."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import ConfigurationError
from toolkit.records import to_json, write_text
from toolkit.repository.config import with_overrides
from toolkit.repository.entry import read_entries
from toolkit.repository.model_config import config_data
from toolkit.size.queue_fit import Served
from toolkit.tensor import dtype_from_name
from toolkit.tune.decision import Candidate

FILE = "served.json"


def write_served(run: Path, configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep what a server told of its models' configurations, Triton's JSON or KServe's metadata, by model."""
    write_text(run / FILE, to_json(dict(configs)))


def configs_of(run: Path, candidate: Candidate) -> dict[str, dict[str, Any]]:
    """The configuration of each model in the words of Triton's JSON, with the candidate's changes; empty if unknown."""
    if (run / FILE).is_file():
        try:
            return dict(json.loads((run / FILE).read_text(encoding="utf-8")))
        except ValueError as err:
            raise ConfigurationError(f"{run / FILE} cannot be read: {err}") from err
    if not (run / "repository").is_dir():
        return {}
    entries = read_entries(run / "repository")
    return {e.name: config_data(with_overrides(e.config, candidate.config.get(e.name, {}))) for e in entries}


def served_of(configs: Mapping[str, Mapping[str, Any]], *, gpus: int = 0) -> dict[str, Served]:
    """What forms the queue of each model that runs itself; an ensemble only passes on. `gpus` of the machine."""
    return {name: _served(config, gpus) for name, config in configs.items() if "ensemble_scheduling" not in config}


def _served(config: Mapping[str, Any], gpus: int) -> Served:
    batching = config.get("dynamic_batching")
    delay_us = int((batching or {}).get("max_queue_delay_microseconds", 0))
    instances = sum(_instances(group, gpus) for group in config.get("instance_group", ())) or max(gpus, 1)
    return Served(
        instances=instances,
        max_batch_size=int(config.get("max_batch_size", 0)) or 1 if batching is not None else 1,
        queue_delay_s=delay_us / 1e6,
    )


def _instances(group: Mapping[str, Any], gpus: int) -> int:
    """On GPUs the count is of each GPU that the group names, or of all."""
    count = int(group.get("count") or 1)
    on_gpu = group.get("kind") == "KIND_GPU" or (group.get("kind", "KIND_AUTO") == "KIND_AUTO" and gpus)
    return count * max(1, len(group.get("gpus", ())) or gpus) if on_gpu else count


def response_bytes(config: Mapping[str, Any]) -> float | None:
    """The bytes of one answer's outputs; None where a size is not fixed."""
    total = 0.0
    for output in config.get("output", ()):
        size = dtype_from_name(str(output["data_type"])).itemsize
        dims = [int(d) for d in output.get("dims", ())]
        if not size or any(d < 0 for d in dims):
            return None
        total += size * math.prod(dims)
    return total or None
