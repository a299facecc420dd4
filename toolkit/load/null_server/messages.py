"""What the null server reads and says, as bytes: requests taken apart, answers put together. No sockets, no clock."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from toolkit.load.http_response import parse_head
from toolkit.load.queue_model import QueueModel

MODEL = "null"
TENSOR = b"\x00\x00\x80\x3f"  # one FP32: 1.0
_INPUT = {"name": "x", "datatype": "FP32", "shape": [1, 1], "parameters": {"binary_data_size": len(TENSOR)}}
_OUTPUT = {"name": "y", "datatype": "FP32", "shape": [1, 1], "parameters": {"binary_data_size": len(TENSOR)}}
_ID = re.compile(rb'"id"\s*:\s*"(\d{1,18})"')
NO_ID = -1
#: The id stands within so many bytes of the body; tensors behind it are not searched.
REACH_OF_ID = 1 << 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request of `size` bytes. `action` is the last part of its path, `metadata` for a model itself.

    `identity` is the number in its KServe `id`, NO_ID without one; `answer` the right answer to an inference.
    """

    action: str
    model: str
    identity: int
    body: bytes
    size: int
    answer: bytes

    @property
    def is_inference(self) -> bool:
        """Whether it goes through the queue."""
        return self.action in ("infer", "generate_stream")


def parse_request(raw: bytes) -> Request | int:
    """The request that `raw` is, or how many bytes it needs at least to be whole."""
    start = raw.find(b"\r\n\r\n") + 4
    if start < 4:
        return len(raw) + 1
    line, _, rest = raw[:start].partition(b"\r\n")
    end = start + (parse_head(b"HTTP/1.1 200 \r\n" + rest).length or 0)
    if len(raw) < end:
        return end
    action, model = _action(line.decode("latin-1").partition(" ")[2].partition(" ")[0])
    found = _ID.search(raw, start, start + REACH_OF_ID)
    identity = int(found[1]) if found else NO_ID
    answer = infer_answer(identity) if action == "infer" else b""
    return Request(action=action, model=model, identity=identity, body=raw[start:end], size=end, answer=answer)


def _action(path: str) -> tuple[str, str]:
    """What a path asks for, and of which model: the last part, or `metadata` when that is the model or its version."""
    parts = path.strip("/").split("/")
    if parts[:2] != ["v2", "models"] or len(parts) < 3:
        return parts[-1], ""
    is_model = len(parts) == 3 or (parts[-2] == "versions" and len(parts) == 5)
    return "metadata" if is_model else parts[-1], parts[2]


@lru_cache(maxsize=8)
def null_requests(count: int, *, streamed: bool = False) -> tuple[bytes, ...]:
    """`count` whole HTTP requests that differ in their id: 0, 1, 2 ...; all of the same length."""
    width = len(str(count))
    return tuple((_stream_request if streamed else _infer_request)(f"{number:0{width}}") for number in range(count))


def answers_request(payload: int, header_length: int | None, body: bytes) -> bool:
    """Whether a body answers the `payload`-th of `null_requests` and no other; a Check of the load engine."""
    expected = infer_body(payload)
    return (header_length, body) == expected


def _infer_request(identity: str) -> bytes:
    header = json.dumps({"id": identity, "inputs": [_INPUT]}).encode()
    lengths = f"Inference-Header-Content-Length: {len(header)}\r\nContent-Length: {len(header) + len(TENSOR)}\r\n"
    return f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nHost: null\r\n{lengths}\r\n".encode() + header + TENSOR


def _stream_request(identity: str) -> bytes:
    body = json.dumps({"id": identity, "text_input": "count", "stream": True}).encode()
    head = f"POST /v2/models/{MODEL}/generate_stream HTTP/1.1\r\nHost: null\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def response(body: bytes, status: int = 200, headers: str = "") -> bytes:
    """A whole HTTP response."""
    return f"HTTP/1.1 {status} \r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def document(value: dict[str, Any]) -> bytes:
    """A whole HTTP response with JSON."""
    return response(json.dumps(value).encode(), headers="Content-Type: application/json\r\n")


def failure(status: int, text: str) -> bytes:
    """A whole HTTP response with an error as Triton words it."""
    return response(json.dumps({"error": text}, separators=(",", ":")).encode(), status)


def infer_body(identity: int = NO_ID) -> tuple[int, bytes]:
    """The body of the answer to an inference, which repeats its id, and how long the JSON in front of the tensor is."""
    named = {} if identity == NO_ID else {"id": str(identity)}
    header = json.dumps({"model_name": MODEL, "model_version": "1"} | named | {"outputs": [_OUTPUT]}).encode()
    return len(header), header + TENSOR


def infer_answer(identity: int = NO_ID, headers: str = "") -> bytes:
    """The answer to an inference."""
    length, body = infer_body(identity)
    return response(body, headers=f"{headers}Inference-Header-Content-Length: {length}\r\n")


ANSWER = infer_body()[1]
REFUSED = failure(503, "Exceeds maximum queue size")
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
STREAM_HEAD = CHUNKED_HEAD + b"Content-Type: text/event-stream; charset=utf-8\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a body; that of no data ends the body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def stream_parts(responses: int) -> tuple[bytes, ...]:
    """The answer of a streamed inference, response by response: server-sent events in chunks, the numbers from 0."""
    values = ({"model_name": MODEL, "model_version": "1", "text_output": f"{number} "} for number in range(responses))
    parts = [chunk(f"data: {json.dumps(value)}\n\n".encode()) for value in values] or [b""]
    parts[0] = STREAM_HEAD + parts[0]
    parts[-1] += chunk(b"")
    return tuple(parts)


def metadata(model: str) -> dict[str, Any]:
    """`/v2/models/M` as Triton has it."""
    sides = {side: [{"name": t["name"], "datatype": "FP32", "shape": [-1, 1]}] for side, t in _SIDES.items()}
    return {"name": model, "versions": ["1"], "platform": "null"} | sides


_SIDES = {"inputs": _INPUT, "outputs": _OUTPUT}


def config(model: str, max_batch_size: int) -> dict[str, Any]:
    """`/v2/models/M/config` as Triton has it."""
    sides = {side[:-1]: [{"name": t["name"], "data_type": "TYPE_FP32", "dims": [1]}] for side, t in _SIDES.items()}
    return {"name": model, "backend": "null", "max_batch_size": max_batch_size} | sides


def statistics(model: str, queue: QueueModel) -> dict[str, Any]:
    """`/v2/models/M/stats` as Triton has it: a request counts when it is done, and with its whole batch's time."""
    count = sum(size * executions for size, executions in queue.executions.items())
    queue_ns, infer_ns = round(queue.queue_s * 1e9), round(queue.execution_s * 1e9)
    spans = {"success": queue_ns + infer_ns, "fail": 0, "queue": queue_ns, "compute_infer": infer_ns}
    stats = {name: {"count": count * (name != "fail"), "ns": ns} for name, ns in spans.items()}
    none = {name: {"count": 0, "ns": 0} for name in ("compute_input", "compute_output", "cache_hit", "cache_miss")}
    batches = [
        {"batch_size": size, "compute_infer": {"count": executions, "ns": round(queue.batch_s[size] * 1e9)}}
        for size, executions in sorted(queue.executions.items())
    ]
    counts = {"inference_count": count, "execution_count": queue.executions.total()}
    entry = {"name": model, "version": "1", **counts, "inference_stats": stats | none, "batch_stats": batches}
    return {"model_stats": [entry]}
