"""How an entry is asked whose requests are not rows of tensors: what a family supplies, and the stages pass on.

`Questions` are what live parity asks of any entry. `Asking` is what a family has besides where requests are made from a
workload, answers come as streams, and batching shows elsewhere than in Triton's statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.export.parity import BatchEvidence, Comparing, compare
from toolkit.load.ask import Answer
from toolkit.load.connection import WireProtocol
from toolkit.serve.server import Endpoint
from toolkit.serve.wire import Array, infer_response

#: Takes the entries that batch at the beginning, and returns what is to be called for what they did since.
Watch = Callable[[Endpoint, tuple[str, ...]], Callable[[], tuple[BatchEvidence, ...]]]


def tensors_of(answer: Answer) -> dict[str, Array]:
    """The outputs of an inference by name."""
    return infer_response(answer.body, answer.header_length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What is asked: one request per sample, the reference answer of each, and labels where there are some.

    `comparing` says whether answers are right, `decode` takes one apart. `watch` tells whether the server batched, by
    Triton's statistics where it is None.
    """

    requests: tuple[bytes, ...]
    reference: dict[str, Any]
    labels: Any = None
    comparing: Comparing = compare
    protocol: WireProtocol = "http"
    decode: Callable[[Answer], dict[str, Array]] = tensors_of
    watch: Watch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An entry as it is asked: its name, its inputs, the tokens that its context holds (None: not known), and the
    folder with what turns texts into its inputs (None: not at hand)."""

    name: str
    inputs: frozenset[str]
    context: int | None
    folder: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertainAnswer:
    """A prompt and the beginning of its greedy answer, as far as rounding cannot change it; it may be empty."""

    prompt: str
    token_ids: tuple[int, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """`recognises` a ModelConfig of such an entry. A request may take `timeout_s`.

    `entry` is the Asked of a config, `requests` of a workload as poc.yaml has it, whole and ready to be sent, and
    `questions` those whose answers the exporter left in an artifact's folder; `workload` reads one from a command line.
    `certain` is the longest answer in an artifact's folder that a margin makes certain.
    """

    protocol: WireProtocol
    timeout_s: float
    recognises: Callable[[Mapping[str, Any]], bool]
    entry: Callable[[Mapping[str, Any], Path | None], Asked]
    requests: Callable[[Asked, Mapping[str, Any], WireProtocol], tuple[bytes, ...]]
    questions: Callable[[Asked, Path], Questions]
    workload: Callable[[str], Mapping[str, Any]]
    certain: Callable[[Path, float], CertainAnswer]
