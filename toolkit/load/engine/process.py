"""The state of a process while it drives a load, put back as it was afterwards."""

from __future__ import annotations

import gc
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
