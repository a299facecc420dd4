"""How long variants of one model take on this machine, measured against each other: interleaved, in one process.

In: ONNX files and inputs. Out: times by variant. Timed one after the other, the same two models differed by a factor of
two with the hour; a round runs each once, so that what slows the machine slows all of them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.export.arrays import Array
from toolkit.export.onnxruntime import answers_of, open_onnx

WARM_UP_ROUNDS = 2
LEAST_ROUNDS, MOST_ROUNDS = 5, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds of one call of ONNX Runtime on this machine's CPU, and how many rounds stand behind them."""

    batch_size: int
    median_s: float
    least_s: float
    rounds: int


def time_interleaved(
    paths: Mapping[str, Path], rows: Mapping[str, Array], *, seconds: float = 2.0
) -> dict[str, Timing]:
    """Time each file on all `rows` in one call, in turn, for about `seconds` altogether; at least five rounds.

    Threads of ONNX Runtime do not spin: those of one variant would slow down the next.
    """
    sessions = {name: open_onnx(path, spin=False) for name, path in paths.items()}
    for _ in range(WARM_UP_ROUNDS):
        for session in sessions.values():
            answers_of(session, rows)
    times: dict[str, list[float]] = {name: [] for name in sessions}
    end = time.perf_counter() + seconds
    for done in range(MOST_ROUNDS):
        if done >= LEAST_ROUNDS and time.perf_counter() > end:
            break
        for name, session in sessions.items():
            times[name].append(_seconds(session, rows))
    batch_size = len(next(iter(rows.values())))
    return {
        name: Timing(batch_size=batch_size, median_s=statistics.median(t), least_s=min(t), rounds=len(t))
        for name, t in times.items()
    }


def _seconds(session: Any, rows: Mapping[str, Array]) -> float:
    start = time.perf_counter()
    answers_of(session, rows)
    return time.perf_counter() - start
