"""Waiting for whatever comes first: an event of the poller, or a moment known to far less than a millisecond.

epoll and poll count their time-outs in milliseconds, which is too coarse to keep a schedule. On Linux a timerfd in the
poller ends the wait a moment before it is time, since waking up takes that long, and the rest is spent spinning;
elsewhere that rest is a millisecond.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import time
from time import perf_counter_ns
from typing import Any, Protocol

Events = list[tuple[int, int]]

# linux/timerfd.h, linux/time.h
_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK, _TFD_CLOEXEC = os.O_NONBLOCK, getattr(os, "O_CLOEXEC", 0)
_TFD_TIMER_ABSTIME = 1
_NEVER = 0

#: Waking up by a timer takes about so long on a virtual machine, where both setting it and the wake-up leave the guest.
#: Twice as much sends no earlier, and costs half as much CPU again, which a server on the same machine lacks.
SPIN_NS = 30_000


class Waiter(Protocol):
    """Waits for events of a poller until a moment of perf_counter_ns."""

    def wait(self, until_ns: int) -> Events:
        """Events, as the poller gives them; none, or such as are not the caller's, when it is time."""

    def close(self) -> None:
        """Give back what it holds."""


def waiter(poller: Any) -> Waiter:
    """The best that this machine has."""
    with contextlib.suppress(OSError, AttributeError):
        if time.get_clock_info("perf_counter").implementation == "clock_gettime(CLOCK_MONOTONIC)":
            return TimerFd(poller)
    return Spin(poller)


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class TimerFd:
    """A timer as a file descriptor in the poller (timerfd_create(2)); set again only when the moment changes."""

    def __init__(self, poller: Any) -> None:
        # PyDLL keeps the interpreter's lock over these short calls: giving it away would let another thread in.
        libc = ctypes.PyDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        self._fd = libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._poller, self._poll = poller, poller.poll
        poller.register(self._fd, select.EPOLLIN | select.EPOLLET)  # told once, so that it need not be read
        self._spec = _TimerSpec()
        self._value, self._reference = self._spec.value, ctypes.byref(self._spec)
        self._set_to_ns = _NEVER

    def wait(self, until_ns: int) -> Events:
        """As Waiter. The last SPIN_NS are waited for without the timer."""
        events: Events
        if until_ns - perf_counter_ns() > SPIN_NS:
            if until_ns != self._set_to_ns:
                self._set_to_ns = until_ns
                self._value.seconds, self._value.nanoseconds = divmod(until_ns - SPIN_NS, 1_000_000_000)
                self._settime(self._fd, _TFD_TIMER_ABSTIME, self._reference, None)
            events = self._poll(-1)
            if len(events) > 1 or events[0][0] != self._fd:
                return events
        while not (events := self._poll(0)) and perf_counter_ns() < until_ns:
            pass
        return events

    def close(self) -> None:
        """Close the timer."""
        os.close(self._fd)


class Spin:
    """Whole milliseconds in the poller, the rest in a loop that asks it again and again."""

    def __init__(self, poller: Any) -> None:
        self._poll = poller.poll
        self._seconds_per_unit = 1.0 if hasattr(select, "epoll") else 1e-3

    def wait(self, until_ns: int) -> Events:
        """As Waiter."""
        events: Events = []
        while not events and (left_ns := until_ns - perf_counter_ns()) > 0:
            milliseconds = left_ns // 1_000_000 - 1
            events = self._poll(max(milliseconds, 0) * 1e-3 / self._seconds_per_unit)
        return events or self._poll(0)

    def close(self) -> None:
        """Holds nothing."""
