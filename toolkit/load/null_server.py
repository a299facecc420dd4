"""A server of known behaviour, for trying the load engine: constant service time, finite capacity, planted faults.

In: a Behaviour. Out: a process of its own that speaks enough of KServe v2 over HTTP: `/infer` answers fixed bytes, a
path that ends in `/echo` answers its own body, `/ready` and `/stats` answer as Triton does. Tensors are not looked at.
Requests queue first come, first served for `capacity` servers, whose free times are computed, so that a late timer
does not lower the capacity.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Literal

from toolkit.errors import ServerTrouble
from toolkit.load.http_response import parse_head
from toolkit.serve.server import Endpoint

Fault = Literal["", "close", "error", "half", "chunked", "stall", "malformed", "goodbye"]
HOST = "127.0.0.1"
TENSOR = b"\x00\x00\x80\x3f"  # one FP32: 1.0
_OUTPUT = {"name": "y", "datatype": "FP32", "shape": [1, 1], "parameters": {"binary_data_size": len(TENSOR)}}
_HEADER = json.dumps({"model_name": "null", "outputs": [_OUTPUT]}).encode()
ANSWER = _HEADER + TENSOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the server behaves. Every `fault_every`-th inference gets the `fault`:

    close (no answer), error (HTTP `error_status`), half (half an answer, then close), chunked (a right answer in
    chunks), stall (no answer, ever), malformed (no HTTP), goodbye (a right answer with `Connection: close`).
    `read_pause_s` makes it read slowly: it pauses after each portion that it receives.
    """

    service_s: float = 0.0
    capacity: int = 1
    fault: Fault = ""
    fault_every: int = 1
    error_status: int = 503
    read_pause_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NullServer:
    """A running null server."""

    endpoint: Endpoint
    pid: int


@contextmanager
def null_server(behaviour: Behaviour) -> Iterator[NullServer]:
    """Run a null server in a process of its own until the context ends. Raises ServerTrouble if it does not start."""
    options = [f"--{f.name.replace('_', '-')}={getattr(behaviour, f.name)}" for f in fields(behaviour)]
    command = [sys.executable, "-m", "toolkit.load.null_server", *options]
    # A session of its own: Ctrl-C at a terminal is for the load engine, not for its server.
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        line = process.stdout.readline().strip() if process.stdout else ""
        if not line:
            raise ServerTrouble(f"the null server ended at once with exit code {process.wait(10)}")
        yield NullServer(endpoint=Endpoint(http=f"{HOST}:{line}"), pid=process.pid)
    finally:
        process.kill()
        process.communicate()


@dataclass(slots=True, kw_only=True)
class _Service:
    """The queue in front of the servers, and the counts that `/stats` shows."""

    behaviour: Behaviour
    free_at_s: list[float]
    count: int = 0
    queue_s: float = 0.0
    arrivals: int = 0

    def finish_at(self, now_s: float) -> float:
        """When a request that arrives now will be done."""
        start_s = max(now_s, heapq.heappop(self.free_at_s))
        heapq.heappush(self.free_at_s, start_s + self.behaviour.service_s)
        self.queue_s += start_s - now_s
        self.count += 1
        return start_s + self.behaviour.service_s

    def fault(self) -> str:
        """The fault of the next inference, or an empty text."""
        self.arrivals += 1
        return self.behaviour.fault if self.arrivals % self.behaviour.fault_every == 0 else ""

    def statistics(self, model: str) -> bytes:
        """`/v2/models/M/stats` as Triton has it."""
        queue_ns, infer_ns = int(self.queue_s * 1e9), int(self.count * self.behaviour.service_s * 1e9)
        spans = {"success": queue_ns + infer_ns, "fail": 0, "queue": queue_ns, "compute_infer": infer_ns}
        stats = {name: {"count": self.count * (name != "fail"), "ns": ns} for name, ns in spans.items()}
        none = {name: {"count": 0, "ns": 0} for name in ("compute_input", "compute_output", "cache_hit", "cache_miss")}
        batch = {"batch_size": 1, "compute_infer": {"count": self.count, "ns": infer_ns}}
        counts = {"inference_count": self.count, "execution_count": self.count}
        entry = {"name": model, "version": "1", **counts, "inference_stats": stats | none, "batch_stats": [batch]}
        return json.dumps({"model_stats": [entry]}).encode()


class _Exchange(asyncio.Protocol):
    """One connection: collects requests and answers them in order."""

    def __init__(self, service: _Service) -> None:
        self.service, self.received = service, bytearray()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (request := self._next_request()) is not None:
            self._answer(*request)
        if self.service.behaviour.read_pause_s:
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(self.service.behaviour.read_pause_s, self._resume)

    def _resume(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _next_request(self) -> tuple[str, bytes] | None:
        start = self.received.find(b"\r\n\r\n") + 4
        if start < 4:
            return None
        line, _, rest = bytes(self.received[:start]).partition(b"\r\n")
        end = start + (parse_head(b"HTTP/1.1 200 \r\n" + rest).length or 0)
        if len(self.received) < end:
            return None
        body = bytes(self.received[start:end])
        del self.received[:end]
        return line.decode().split(" ")[1], body

    def _answer(self, path: str, body: bytes) -> None:
        if path.endswith("/infer"):
            loop = asyncio.get_running_loop()
            reply = REPLIES[self.service.fault()]
            loop.call_at(self.service.finish_at(loop.time()), reply, self)
        elif path.endswith("/echo"):
            self.send(body)
        elif path.endswith("/stats"):
            self.send(self.service.statistics(path.split("/")[-2]))
        else:
            self.send(b"")

    def send(self, body: bytes, status: int = 200, headers: str = "") -> None:
        """A whole answer."""
        head = f"HTTP/1.1 {status} \r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)

    def send_answer(self) -> None:
        """The fixed answer."""
        self.send(ANSWER, headers=f"Inference-Header-Content-Length: {len(_HEADER)}\r\n")

    def send_error(self) -> None:
        """HTTP `error_status` with a message."""
        self.send(b'{"error":"planted"}', self.service.behaviour.error_status)

    def send_chunked(self) -> None:
        """The fixed answer in two chunks that arrive apart."""
        self.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (ANSWER[:10], ANSWER[10:], b""):
            self.transport.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")

    def send_half(self) -> None:
        """The head and half of the body, then the end."""
        self.transport.write(f"HTTP/1.1 200 OK\r\nContent-Length: {2 * len(ANSWER)}\r\n\r\n".encode() + ANSWER)
        self.transport.close()

    def send_goodbye(self) -> None:
        """The fixed answer, and the announced end of the connection."""
        self.send(ANSWER, headers="Connection: close\r\n")
        self.transport.close()

    def send_malformed(self) -> None:
        """Something that is not HTTP."""
        self.transport.write(b"SSH-2.0-null\r\n\r\n")


REPLIES: dict[str, Callable[[_Exchange], None]] = {
    "": _Exchange.send_answer,
    "close": lambda exchange: exchange.transport.close(),
    "error": _Exchange.send_error,
    "half": _Exchange.send_half,
    "chunked": _Exchange.send_chunked,
    "stall": lambda exchange: None,
    "malformed": _Exchange.send_malformed,
    "goodbye": _Exchange.send_goodbye,
}


async def _serve(behaviour: Behaviour) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    service = _Service(behaviour=behaviour, free_at_s=[0.0] * behaviour.capacity)
    server = await loop.create_server(lambda: _Exchange(service), HOST, 0, backlog=1024)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(sys.stdin.fileno(), stop.set)  # the pipe ends with the parent, however that ends
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await stop.wait()


def _behaviour_from_arguments() -> Behaviour:
    parser = argparse.ArgumentParser(prog="python -m toolkit.load.null_server")
    for option in fields(Behaviour):
        kind = type(option.default)
        parser.add_argument(f"--{option.name.replace('_', '-')}", type=kind, default=option.default)
    return Behaviour(**vars(parser.parse_args()))


if __name__ == "__main__":
    asyncio.run(_serve(_behaviour_from_arguments()))
