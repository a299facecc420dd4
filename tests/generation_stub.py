"""A text generator for tests of clients: Triton's HTTP as far as they use it, a canned token at a time.

It keeps the contract of our backend and of Triton's vLLM backend, and counts iterations as ours does.
"""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

WORDS = ["The", " import", " statement", " binds", " names", "."]
INPUTS = (
    ("text_input", "TYPE_STRING"), ("stream", "TYPE_BOOL"), ("sampling_parameters", "TYPE_STRING"),
    ("exclude_input_in_output", "TYPE_BOOL"), ("return_finish_reason", "TYPE_BOOL"),
    ("return_num_input_tokens", "TYPE_BOOL"), ("return_num_output_tokens", "TYPE_BOOL"),
    ("return_token_ids", "TYPE_BOOL"),
)  # fmt: skip
CONTEXT = 4096


class Stub(http.server.ThreadingHTTPServer):
    """`cancelled` counts streams that a client left, `asked` keeps the requests; both under no lock, for tests."""

    daemon_threads = True

    def __init__(self, *, gap_s: float, die_after: int | None, rows: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.gap_s, self.die_after, self.rows = gap_s, die_after, rows
        self.cancelled, self.iterations, self.asked = 0, 0, list[dict[str, Any]]()

    @property
    def address(self) -> str:
        """host:port"""
        return "{}:{}".format(*self.server_address[:2])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or tokens come in pairs
    server: Stub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        config = {
            "name": "llm", "platform": "", "versions": ["1"], "backend": "stub", "max_batch_size": 0,
            "input": [{"name": n, "data_type": t, "dims": [1]} for n, t in INPUTS],
            "inputs": [{"name": n, "datatype": t[5:], "shape": [1]} for n, t in INPUTS], "outputs": [], "output": [],
            "parameters": {"max_length": {"string_value": str(CONTEXT)}},
        }  # fmt: skip
        if self.path.endswith("/stats"):
            return self._reply({"error": "no statistics"}, 400)
        if self.path == "/metrics":
            lines = f'onnxruntime_llm_iterations{{model="llm",version="1"}} {self.server.iterations}\n'
            rows = self.server.rows * self.server.iterations
            return self._text(lines + f'onnxruntime_llm_decoded_rows{{model="llm",version="1"}} {rows}\n')
        return self._reply(config if self.path.startswith("/v2/models/llm") else {"name": "triton"}, 200)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        sampling = json.loads(body.get("sampling_parameters", "{}"))
        if "forbidden" in body["text_input"]:
            return self._reply({"error": "the queue is full: 64 requests wait and 8 run"}, 503)
        try:
            self._stream(body, sampling)
        except (BrokenPipeError, ConnectionResetError):
            self.server.cancelled += 1
            self.close_connection = True

    def _stream(self, body: dict[str, Any], sampling: dict[str, Any]) -> None:
        count = len(body["text_input"].split())
        if count > CONTEXT:  # as Triton does: a status, and the error as an event
            error = {"error": f"the prompt has {count} tokens, and the context holds {CONTEXT}"}
            return self._text(f"data: {json.dumps(error)}\n\n", 400)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        tokens = sampling.get("max_tokens", 16)
        for number in range(tokens):
            time.sleep(self.server.gap_s)
            if self.server.die_after is not None and number >= self.server.die_after:
                self.close_connection = True
                return self.connection.close()
            self.server.iterations += 1
            last = number + 1 == tokens
            event = {"model_name": "llm", "text_output": WORDS[number % len(WORDS)]}
            told = {
                "return_finish_reason": {"finish_reason": "length" if last else "None"},
                "return_num_input_tokens": {"num_input_tokens": count},
                "return_num_output_tokens": {"num_output_tokens": 1},
                "return_token_ids": {"token_ids": number % len(WORDS)},
            }
            event |= {k: v for name, values in told.items() if body.get(name) for k, v in values.items()}
            self._chunk(b"data: " + json.dumps(event).encode() + b"\n\n")
        return self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _reply(self, value: Any, status: int) -> None:
        self._text(json.dumps(value), status)

    def _text(self, text: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@contextmanager
def generating(*, gap_s: float = 0.0, die_after: int | None = None, rows: float = 4.0) -> Iterator[Stub]:
    """A running stub; `die_after` so many tokens every stream is cut, `rows` is its mean batch."""
    stub = Stub(gap_s=gap_s, die_after=die_after, rows=rows)
    thread = threading.Thread(target=stub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub.shutdown()
        stub.server_close()
        thread.join()
