"""The state of a process while it drives a load, put back as it was afterwards."""

from __future__ import annotations

import gc
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import EnvironmentProblem

#: How long another thread may keep the interpreter from the loop; Python's own 5 ms would be taken for latency.
SWITCH_INTERVAL_S = 1e-4
#: File descriptors that a loop needs besides its connections, and what others may open meanwhile.
SPARE_DESCRIPTORS = 32
#: The lowest real-time priority (sched(7)): before every ordinary process, behind all else that is real-time.
PRIORITY = 1


@contextmanager
def at_rest() -> Iterator[None]:
    """No garbage collection, since the loops make no cycles, and no other thread for long."""
    was_enabled, switch_interval_s = gc.isenabled(), sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(switch_interval_s)
        gc.unfreeze()
        if was_enabled:
            gc.enable()


@contextmanager
def ahead_of_others() -> Iterator[bool]:
    """This thread before all ordinary ones where the system allows it (root, CAP_SYS_NICE); whether it does.

    Whoever computes beside a load generator makes it late, the server under load above all, and being late is taken
    for latency. Where there is one core only, the server would wait for the generator's spinning: there it stays as it
    is. Processes that are started meanwhile do not inherit it.
    """
    before = _put_ahead()
    try:
        yield before is not None
    finally:
        if before is not None:
            os.sched_setscheduler(0, *before)


def _put_ahead() -> tuple[int, os.sched_param] | None:
    """The policy and priority that this thread had; None where they stay."""
    try:
        if len(os.sched_getaffinity(0)) < 2:
            return None
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    except (AttributeError, OSError):  # another system; not allowed
        return None
    return before


@contextmanager
def descriptors_for(connections: int) -> Iterator[None]:
    """File descriptors for so many connections: the soft limit is raised as needed. Raises EnvironmentProblem."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + len(list(Path("/dev/fd").iterdir())) + SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise EnvironmentProblem(
            f"{connections} connections need {needed} file descriptors, and this process may open {hard}",
            mend=f"ulimit -Hn {needed} (as root), fewer connections, or more processes",
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
