"""The null server's one loop: read what came, let the queue model say what is due, answer at that moment.

One thread on raw epoll, because it is the yardstick: an inference costs it a poll shared with its neighbours, one recv,
one send, two dictionary look-ups and a few steps of the model. A timerfd wakes it a little before something is due; the
rest of the time is spun away, where there is a second core for the client to run on.
"""

from __future__ import annotations

import os
import resource
import select
import socket
import sys
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import inf
from pathlib import Path
from time import perf_counter_ns

from toolkit.environment import cpu_limit_cores
from toolkit.errors import EnvironmentProblem
from toolkit.load.engine.process import at_rest
from toolkit.load.engine.timer import Events, waiter
from toolkit.load.null_server.behaviour import Behaviour
from toolkit.load.null_server.exchange import Exchange
from toolkit.load.null_server.faults import REPLIES
from toolkit.load.null_server.log import Log
from toolkit.load.null_server.messages import (
    MODEL,
    REFUSED,
    Request,
    config,
    document,
    failure,
    metadata,
    response,
    statistics,
    stream_parts,
)
from toolkit.load.queue_model import QueueModel
from toolkit.load.socket_connection import Poller

#: On a quiet machine a timer wakes the process up 50 to 80 us late, so it is set this much early.
SPIN_NS = 100_000 if min(cpu_limit_cores() or inf, os.cpu_count() or 1) >= 2 else 0
_NEVER_NS = 1 << 62
_BACKLOG = 1024


class Server:
    """All that the loop knows. `handlers` says by file descriptor what to call when something happened there."""

    def __init__(self, behaviour: Behaviour, host: str, port: int) -> None:
        self.behaviour, self.model, self.log = behaviour, QueueModel(behaviour), Log()
        self.poller = Poller()
        self.waiter = waiter(self.poller)
        self.handlers: dict[int, Callable[[], None]] = {}
        self.known: dict[bytes, Request] = {}
        self.pending: dict[int, tuple[Exchange, Request]] = {}
        self.later: list[tuple[int, int, Callable[[int], None]]] = []
        self.read_pause_ns = int(behaviour.read_pause_s * 1e9)
        self.stream = stream_parts(behaviour.responses)
        self.is_running = True
        self.began_ns = perf_counter_ns()
        self._order = count()
        self.listener = _listen(host, port)
        self.listener.setblocking(False)
        self.watch(self.listener.fileno(), self.accept)

    @property
    def address(self) -> str:
        """Where it listens, `host:port`."""
        host, port = self.listener.getsockname()[:2]
        return f"{host}:{port}"

    def watch(self, fd: int, handler: Callable[[], None]) -> None:
        """Call `handler` whenever `fd` is readable."""
        self.handlers[fd] = handler
        self.poller.register(fd, select.POLLIN)

    def stop(self) -> None:
        """End the loop."""
        self.is_running = False

    def run(self) -> None:
        """Serve until `stop`. The hot loop."""
        handlers = self.handlers
        while self.is_running:
            for fd, _ in self._wait():
                if fd in handlers:  # the timer is not; and an earlier event of this round may have closed one
                    handlers[fd]()
            self._answer_due()

    def accept(self) -> None:
        """Take a new connection."""
        exchange = Exchange(self.listener.accept()[0], self)
        self.handlers[exchange.fd] = exchange.ready

    def take(self, exchange: Exchange, request: Request, now_ns: int) -> None:
        """A whole request was read at `now_ns`."""
        if not request.is_inference:
            exchange.send(self._other_answer(request))
            return
        row = self.log.arrive(request.identity, now_ns)
        if self.model.arrive(row, (now_ns - self.began_ns) * 1e-9):
            self.pending[row] = exchange, request
        else:
            self.log.finish(row, now_ns, perf_counter_ns())
            exchange.send(REFUSED)

    def pause(self, exchange: Exchange, now_ns: int) -> None:
        """Read nothing more from a connection for `read_pause_s`."""
        exchange.watch(reading=False)
        self._at(now_ns + self.read_pause_ns, lambda _: exchange.watch())

    def _wait(self) -> Events:
        """Events, or none when something is due; short of that by less than SPIN_NS, it only looks for events."""
        due_s = self.model.next_event_s()
        due_ns = _NEVER_NS if due_s == inf else self.began_ns + int(due_s * 1e9)
        if self.later and self.later[0][0] < due_ns:
            due_ns = self.later[0][0]
        if due_ns - SPIN_NS > perf_counter_ns():
            return self.waiter.wait(due_ns - SPIN_NS)
        events: Events = self.poller.poll(0)
        return events

    def _answer_due(self) -> None:
        """Answer all that is due, and do all that was put off until now."""
        now_ns = perf_counter_ns()
        for row, finish_s in self.model.advance((now_ns - self.began_ns) * 1e-9):
            exchange, request = self.pending.pop(row)
            self._answer(exchange, request, row, self.began_ns + int(finish_s * 1e9))
        while self.later and self.later[0][0] <= now_ns:
            due_ns, _, do = heappop(self.later)
            do(due_ns)

    def _answer(self, exchange: Exchange, request: Request, row: int, due_ns: int) -> None:
        # The moment before the send: no client can have the answer earlier, however long the send may take.
        behaviour, done_ns = self.behaviour, perf_counter_ns()
        if behaviour.fault and (row + 1) % behaviour.fault_every == 0:
            REPLIES[behaviour.fault](exchange, request, behaviour)
        elif request.answer:
            exchange.send(request.answer)
        else:
            self._at(due_ns + int(behaviour.ttft_s * 1e9), partial(self._respond, exchange, row, 0))
            return
        self.log.finish(row, due_ns, done_ns)

    def _respond(self, exchange: Exchange, row: int, number: int, due_ns: int) -> None:
        """One response of a stream; the next is put off until its time."""
        done_ns = perf_counter_ns()
        exchange.send(self.stream[number])
        self.log.respond(row, due_ns, done_ns)
        if number + 1 < len(self.stream):
            self._at(due_ns + int(self.behaviour.itl_s * 1e9), partial(self._respond, exchange, row, number + 1))
        else:
            self.log.finish(row, due_ns, done_ns)

    def _at(self, due_ns: int, do: Callable[[int], None]) -> None:
        heappush(self.later, (due_ns, next(self._order), do))

    def _other_answer(self, request: Request) -> bytes:
        match request.action:
            case "ready" | "live":
                return response(b"")
            case "echo":
                return response(request.body)
            case "log":
                return response(self.log.content())
            case "v2":
                return document({"name": MODEL, "version": "1", "extensions": ["statistics", "binary_tensor_data"]})
            case "metadata":
                return document(metadata(request.model))
            case "config":
                return document(config(request.model, self.behaviour.max_batch_size))
            case "stats":
                return document(statistics(request.model, self.model))
        return failure(404, f"the null server has no '{request.action}'")


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=_BACKLOG)
    except OSError as err:
        raise EnvironmentProblem(f"the null server cannot listen on {host}:{port}: {err.strerror}") from err


def serve(behaviour: Behaviour, *, host: str, port: int, log: Path | None, until_stdin_ends: bool) -> None:
    """Serve until Ctrl-C, and write the log; the address is printed when it listens. Raises EnvironmentProblem."""
    server = Server(behaviour, host, port)
    if until_stdin_ends:
        server.watch(sys.stdin.fileno(), server.stop)  # the pipe ends with the parent, however that ends
    sys.stdout.write(f"{server.address}\n")
    sys.stdout.flush()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        with at_rest():
            server.run()
    except KeyboardInterrupt:
        server.stop()
    if log is not None:
        log.write_bytes(server.log.content())
