"""`python -m toolkit.load.null_server`: the null server for people and for the context manager alike."""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from toolkit.errors import ToolkitError
from toolkit.load.null_server.behaviour import Behaviour
from toolkit.load.null_server.process import HOST
from toolkit.load.null_server.server import serve

_HELP = {
    "service_s": "mean time of one execution",
    "row_s": "time that each row of a batch adds",
    "law": "of the service time",
    "capacity": "executions at a time",
    "max_batch_size": "requests in one execution at most",
    "batch_delay_s": "how long the first request of a batch waits for others",
    "max_queue_size": "requests that wait at most; one more gets HTTP 503; 0: no limit",
    "stall_at_s": "when the planted stall begins, after the first inference",
    "stall_s": "how long nothing is begun or finished; 0: no stall",
    "seed": "of the service times",
    "fault": "what every FAULT_EVERY-th inference gets",
    "fault_every": "",
    "error_status": "HTTP status of the fault `error`",
    "read_pause_s": "pause after each portion that is read",
    "responses": "responses of /generate_stream",
    "ttft_s": "until the first of them",
    "itl_s": "between two of them",
}


def _arguments() -> dict[str, Any]:
    parser = argparse.ArgumentParser(
        prog="python -m toolkit.load.null_server",
        description="A KServe v2 server of known behaviour; its model is `null`. "
        "GET /log answers what really happened, as an npz of int64 arrays on the monotonic clock.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    hints = get_type_hints(Behaviour)
    for option in fields(Behaviour):
        kind, choices = type(option.default), get_args(hints[option.name]) or None
        name = f"--{option.name.replace('_', '-')}"
        parser.add_argument(name, type=kind, default=option.default, choices=choices, help=_HELP[option.name] or " ")
    parser.add_argument("--host", default=HOST, help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port; 0: a free one, which is printed")
    parser.add_argument("--log", type=Path, help="an npz file for the log, written at the end")
    parser.add_argument("--until-stdin-ends", action="store_true", help="end when the standard input, a pipe, does")
    return vars(parser.parse_args())


def main() -> None:
    """Read the options and serve."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    given = _arguments()
    options = {f.name: given.pop(f.name) for f in fields(Behaviour)}
    try:
        serve(Behaviour(**options), **given)
    except ToolkitError as err:
        sys.exit(f"error: {err.message}")


if __name__ == "__main__":
    main()
