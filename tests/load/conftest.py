"""Records made of numbers, for tests of what is pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from toolkit.load.request_records import Records

MakeRecords = Callable[..., Records]


@pytest.fixture
def records_of() -> MakeRecords:
    """Records of latencies in seconds, one after the other from time 0, with a window over all of them."""

    def make(
        latencies_s: Any, *, status: Any = 200, window_s: tuple[float, float] | None = None, **more: Any
    ) -> Records:
        duration_ns = np.round(np.asarray(latencies_s, dtype=float) * 1e9).astype(np.int64)
        done = np.cumsum(duration_ns)
        intended = done - duration_ns
        end_ns = int(done[-1]) + 1 if len(done) else 1
        start, end = (int(edge * 1e9) for edge in window_s) if window_s else (0, end_ns)
        return Records(
            **{
                "intended_ns": intended,
                "sent_ns": intended.copy(),
                "first_ns": done,
                "done_ns": done,
                "status": np.broadcast_to(np.asarray(status, dtype=np.int16), len(done)).copy(),
                "payload": np.zeros(len(done), dtype=np.int32),
                "window_start_ns": start,
                "window_end_ns": end,
                "client_cpu_ns": 0,
            }
            | more
        )

    return make
