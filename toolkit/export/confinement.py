"""What a worker that opens code from a data file gives up first: the network, and memory without end.

Called in the worker before anything is imported that starts threads. A file could still read and write what its user
may; whoever does not trust a file that far should not give --trust.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
from dataclasses import dataclass
from pathlib import Path

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SHARE_OF_MEMORY = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a confined worker may take, and how much memory it may hold, 80 % of the machine's where None."""

    time_s: float = 1800.0
    memory_bytes: int | None = None


def confine(limits: Limits) -> str:
    """Cut this process and its children off the network and cap their memory. Returns a remark where that failed.

    RLIMIT_DATA and not RLIMIT_AS: torch and CUDA reserve tens of gigabytes of addresses that they never use, which
    counts in the latter and not in the former. It holds for each process; the parent watches the time.
    """
    allowed = memory_limit(limits)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return _without_network()


def memory_limit(limits: Limits) -> int:
    """The bytes that each confined process may hold."""
    return limits.memory_bytes or int(_SHARE_OF_MEMORY * _memory_bytes())


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _without_network() -> str:
    """A network namespace of our own holds a loopback that is down, and nothing else."""
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) == 0:
        return ""
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        with contextlib.suppress(OSError):  # without a map files still belong to the same user, only its name is nobody
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        return ""
    reason = os.strerror(ctypes.get_errno())
    return f"the network could not be cut off ({reason}): what is hidden in the file can reach it"
