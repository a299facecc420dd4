"""bundle.lock.json read back: what a bundle deploys, by which objective, and the figures that justify it.

In: the folder of a bundle. Out: a BundleLock. What is written stands in contents.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.deploy.spec import Figures
from toolkit.errors import ConfigurationError
from toolkit.load.slo import Slo, slo_from_text
from toolkit.records import SCHEMA

LOCK = "bundle.lock.json"
#: The services that only look on.
OBSERVERS = ("prometheus", "grafana")
FIGURES = ("throughput_per_s", "latency_p99_s", "load", "outcome", "environment", "device", "server")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleLock:
    """What verifying a bundle needs of its lock. `figures` is None where the run chose nothing."""

    name: str
    run: str
    target: str
    model: str
    images: dict[str, str]
    slo: Slo
    figures: Figures | None
    gpu: bool

    @property
    def server_image(self) -> str:
        """The image of what answers inference requests."""
        return next(image for service, image in self.images.items() if service not in OBSERVERS)


def read_lock(folder: Path) -> BundleLock:
    """The lock of a bundle. Raises ConfigurationError for a folder that is none, and for a lock that is damaged."""
    path = folder / LOCK
    if not path.is_file():
        raise ConfigurationError(
            f"{folder} is not a bundle: it has no {LOCK}", mend="toolkit deploy RUN --output DIR writes one"
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise ConfigurationError(f"{path} is of schema {data['schema']}", mend="deploy the run again")
        texts = ",".join(criterion["text"] for criterion in data["slo"])
        return BundleLock(
            name=data["name"],
            run=data["run"],
            target=data["target"],
            model=data["model"],
            images=data["images"],
            slo=slo_from_text(texts) if texts else Slo(criteria=()),
            figures=_figures(data["figures"]),
            gpu=data["limits"]["gpu"],
        )
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise ConfigurationError(f"{path} cannot be read: {err!r}", mend="deploy the run again") from err


def _figures(data: dict[str, Any] | None) -> Figures | None:
    """The figures of requests; those of streams are not compared."""
    return None if data is None else Figures(**{name: data[name] for name in FIGURES})
