"""How a null server behaves: the Queue that it answers by, its faults and its streams. A value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from toolkit.load.queue_model import Queue

Fault = Literal["", "close", "error", "half", "chunked", "stall", "malformed", "goodbye"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour(Queue):
    """A Queue with faults and streams. Every `fault_every`-th inference gets the `fault`:

    close (no answer), error (HTTP `error_status`), half (half an answer, then close), chunked (a right answer in
    chunks), stall (no answer, ever), malformed (no HTTP), goodbye (a right answer with `Connection: close`).
    `read_pause_s` makes it read slowly: it pauses after each portion that it receives.
    A streamed inference has `responses` responses: the first `ttft_s` after it left the queue, the rest `itl_s` apart.
    """

    fault: Fault = ""
    fault_every: int = 1
    error_status: int = 503
    read_pause_s: float = 0.0
    responses: int = 8
    ttft_s: float = 0.0
    itl_s: float = 0.0
