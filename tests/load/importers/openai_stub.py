"""An OpenAI-compatible chat server that streams made-up tokens at a steady pace.

AIPerf and GuideLLM ran against it when data/ was recorded: `python tests/load/importers/openai_stub.py PORT [N]`. With
N, every N-th request of chat is answered with status 500.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL, FIRST_TOKEN_S, TOKEN_S = "stub", 0.02, 0.004


FAIL_EVERY = int(sys.argv[2]) if len(sys.argv) > 2 else 0
asked_so_far = itertools.count(1)


class Stub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._json({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "stub"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if FAIL_EVERY and next(asked_so_far) % FAIL_EVERY == 0:
            self._json({"error": {"message": "asked to fail"}}, 500)
            return
        tokens = int(asked.get("max_completion_tokens") or asked.get("max_tokens") or 16)
        usage = {"prompt_tokens": 16, "completion_tokens": tokens, "total_tokens": 16 + tokens}
        if not asked.get("stream"):
            time.sleep(FIRST_TOKEN_S + tokens * TOKEN_S)
            message = {"role": "assistant", "content": "word " * tokens}
            choice = {"index": 0, "message": message, "finish_reason": "length"}
            self._json(self._head() | {"object": "chat.completion", "choices": [choice], "usage": usage})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(tokens):
            time.sleep(TOKEN_S if number else FIRST_TOKEN_S)
            reason = "length" if number == tokens - 1 else None
            delta = {"role": "assistant", "content": f" word{number}"}
            self._event(self._head() | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
        self._event(self._head() | {"choices": [], "usage": usage})
        self._chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _head(self) -> dict[str, object]:
        return {"id": "chatcmpl-0", "object": "chat.completion.chunk", "created": 0, "model": MODEL}

    def _event(self, value: dict[str, object]) -> None:
        self._chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        self.wfile.flush()

    def _json(self, value: dict[str, object], status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Stub).serve_forever()
