"""One of several processes that drive a load together: `python -m toolkit.load.engine.worker DESCRIPTOR`.

In: over the pipe with that file descriptor, a Job and, when told that all is ready, the moment to begin. Out: progress,
and a Share or the error. Any word from the parent after that, and its end, end the load.
"""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.load.engine.point import drive_job


def main(pipe: Connection) -> None:
    """Serve the parent once."""

    def begin() -> int:
        pipe.send(("ready", None))
        begin_ns: int = pipe.recv()
        return begin_ns

    def progress(share: float, finished: int) -> None:
        if pipe.poll():
            raise KeyboardInterrupt
        pipe.send(("progress", (share, finished)))

    told: tuple[str, Any]
    try:
        told = "share", drive_job(pipe.recv(), begin, progress)
    except ToolkitError as err:
        told = "error", err
    pipe.send(told)


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
