"""From what each process drove to the Records of the whole: rows in one order, sampled answers checked.

Nothing is averaged: the rows of all processes are put together, and every figure is computed from them afterwards.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

import numpy as np

from toolkit.errors import ToolkitError
from toolkit.load.engine.recorder import Share
from toolkit.load.outcome import WRONG_ANSWER
from toolkit.load.request_records import Ended, Records, SampledAnswer, columns_from_rows, rows_from_bytes

#: Whether an answer is right: payload index, Inference-Header-Content-Length, body. A ToolkitError means it is not.
Check = Callable[[int, int | None, bytes], bool]


def records_from_shares(shares: Sequence[Share], check: Check | None) -> Records:
    """The Records of all processes. The window ends when the first of them ended; a wrong answer is WRONG_ANSWER."""
    parts = [rows_from_bytes(share.rows) for share in shares]
    response_ns = array("q")
    for share, part in zip(shares, parts, strict=True):
        if check is not None:
            wrong = [row for row, answer in share.samples if not _is_right(check, answer)]
            part["status"][wrong] = WRONG_ANSWER
        response_ns += share.response_ns[: int(part["responses"].sum())]  # Ctrl-C may have come before the last row
    answers = tuple(answer for share in shares for _, answer in share.samples)
    end_ns = min(share.window_end_ns for share in shares)
    return Records(
        **columns_from_rows(np.concatenate(parts), np.frombuffer(response_ns, dtype=np.int64)),
        window_start_ns=min(end_ns, *(share.window_start_ns for share in shares)),
        window_end_ns=end_ns,
        client_cpu_ns=sum(share.cpu_ns for share in shares),
        busiest_cpu_ns=max(share.cpu_ns for share in shares),
        processes=len(shares),
        connections=sum(share.connections for share in shares),
        connection_waits=sum(share.connection_waits for share in shares),
        processes_ahead=sum(share.is_ahead for share in shares),
        checked=len(answers) if check else 0,
        ended=_ended(shares),
        answers=answers,
    )


def _ended(shares: Sequence[Share]) -> Ended:
    """An interruption goes before a lost server, and that before a complete run."""
    order: tuple[Ended, ...] = ("interrupted", "server lost", "complete")
    return min((share.ended for share in shares), key=order.index)


def _is_right(check: Check, answer: SampledAnswer) -> bool:
    try:
        return check(answer.payload, answer.header_length, answer.body)
    except ToolkitError:
        return False
