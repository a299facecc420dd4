"""What a way of serving is, as data: image, command, ports, health, metrics, environment, and what it needs of a host.

In: nothing. Out: the types of the tables in servers.py. This module knows no server by name, and no target.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from toolkit.deploy.llm_series import LlmSeries

#: Where a container of a language model sees the customer's folder, and what it may keep between two starts.
MODEL_FOLDER, CACHE = "/opt/models", "/cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port that a container listens on; every server has one named `http`."""

    name: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What arithmetic lets an engine be asked for: tokens of a sequence, sequences at once (None: the server's own
    default), and the GPUs that share the model. `arithmetic` says how they come about; nothing of it is measured.
    """

    tokens: int | None = None
    sequences: int | None = None
    devices: int = 1
    accelerator: str = ""
    arithmetic: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Llm:
    """A language model as a GPU server is given it: the customer's folder, which is no part of a bundle.

    `served_name` is what clients call it, letters, digits and '-'. `source` and its digest say what was measured.
    """

    served_name: str
    source: str
    source_sha256: str
    weight_bytes: int
    limits: Limits = Limits()

    @property
    def place(self) -> str:
        """Where the container sees the folder. Its last part is the served name: trtllm-serve takes it from there."""
        return f"{MODEL_FOLDER}/{self.served_name}"


def _nothing(llm: Llm) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One way to serve.

    `image` is empty where the user names it, as `image_example` shows. `arguments` follow the image's entrypoint, or
    `entrypoint` where that is given. `live`, `ready` are paths at the port `http`; metrics are at `metrics_path` of the
    port named `metrics` or, without one, `http`. `secrets` are variables whose values are referred to and never
    written. `cache` is where a container may write and find it again. `start_s` is what a start may take: an
    assumption, since weights are read and kernels are compiled. `series` are what the server tells Prometheus of
    generation, None where it generates nothing. `files` are those that it reads, by where it reads them. `source` says
    where all this was read.
    """

    name: str
    title: str
    image: str
    arguments: Callable[[Llm], tuple[str, ...]]
    ports: tuple[Port, ...]
    live: str
    ready: str
    metrics_path: str
    environment: Mapping[str, str]
    source: str
    series: LlmSeries | None
    image_example: str = ""
    entrypoint: tuple[str, ...] = ()
    model_environment: Callable[[Llm], Mapping[str, str]] = _nothing
    files: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    cache: str = ""
    has_read_only_root: bool = True
    has_repository: bool = False
    start_s: int = 1800

    def port(self, name: str) -> int:
        """The number of a port; of `metrics` that of `http` where the server has no other."""
        numbers = {port.name: port.number for port in self.ports}
        return numbers.get(name, numbers["http"])

    @property
    def variable(self) -> str:
        """The beginning of the names of its variables in compose's .env: VLLM, TRTLLM_SERVE."""
        return re.sub(r"[^A-Z0-9]", "_", self.name.upper())
