"""Driving one load point: request bytes and a Load go in, Records come out.

Requests are built once by the caller and sent as they are. Percentiles, verdicts and warm-up are not known here:
everything that happened is written down, with the edges of the window beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter_ns

from toolkit.load.connection import WireProtocol
from toolkit.load.engine.closed_loop import ClosedLoop
from toolkit.load.engine.job import Clients, Job, jobs_from_load
from toolkit.load.engine.loop import Loop, Progress
from toolkit.load.engine.merge import Check, records_from_shares
from toolkit.load.engine.open_loop import OpenLoop
from toolkit.load.engine.process import ahead_of_others, at_rest, descriptors_for
from toolkit.load.engine.recorder import Share
from toolkit.load.engine.shards import drive_in_processes
from toolkit.load.pattern import Load
from toolkit.load.request_records import Records
from toolkit.serve.server import Endpoint

TIMEOUT_S = 10.0


def drive(
    endpoint: Endpoint,
    requests: Sequence[bytes],
    load: Load,
    *,
    protocol: WireProtocol = "http",
    processes: int = 1,
    timeout_s: float = TIMEOUT_S,
    check: Check | None = None,
    progress: Progress | None = None,
) -> Records:
    """Drive `load` with whole requests of `protocol` in rotation, and return a record of every request that ended.

    Closed loop: a client whose request fails without an answer tries again at the next tick (at most TICK_S later).
    Open loop: requests are sent when `arrivals_s` says; one that fails is not sent again. A request without a complete
    answer `timeout_s` after its intended send is ended and counted. Requests in flight when the window ends, and
    arrivals that still wait for a connection, are waited for. Answers are sampled (the first to each payload, then one
    a tick) and given to `check` after the window; a wrong one gets the status WRONG_ANSWER. Ctrl-C, and a server that
    is gone for a second, end the point: the records so far are returned and `ended` says why.

    With more than one of `processes`, each drives its part of the clients or arrivals, and their records are merged.
    Raises UsageError without requests or with more processes than connections, ServerTrouble for an unknown address,
    EnvironmentProblem where the machine does not allow as many connections, ToolkitError when a process dies.
    """
    jobs = jobs_from_load(endpoint, requests, load, protocol=protocol, processes=processes, timeout_s=timeout_s)
    alone = len(jobs) == 1
    shares = [drive_job(jobs[0], perf_counter_ns, progress)] if alone else drive_in_processes(jobs, progress)
    return records_from_shares(shares, check)


def drive_job(job: Job, begin: Callable[[], int], progress: Progress | None) -> Share:
    """Drive one process's part of a load in this process. `begin` is called when all is ready, and says when to."""
    with descriptors_for(job.connections), at_rest(), ahead_of_others() as is_ahead:
        loop = _loop(job, progress)
        try:
            loop.run(begin())
        finally:
            loop.close()
        return loop.share(is_ahead=is_ahead)


def _loop(job: Job, progress: Progress | None) -> Loop:
    if isinstance(job.part, Clients):
        return ClosedLoop(job, job.part.count, progress)
    return OpenLoop(job, job.part, progress)
