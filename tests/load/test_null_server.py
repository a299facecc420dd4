"""The null server itself: it queues as it says, and it does not outlive whoever started it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from toolkit.errors import ServerTrouble
from toolkit.load.ask import ask
from toolkit.load.null_server import Behaviour, null_server
from toolkit.serve.client import is_ready, statistics

INFER = b"POST /v2/models/null/infer HTTP/1.1\r\nHost: null\r\nContent-Length: 0\r\n\r\n"


def test_statistics_of_a_known_queue() -> None:
    with null_server(Behaviour(service_s=0.010, capacity=1)) as server:
        assert is_ready(server.endpoint)
        ask(server.endpoint, [INFER] * 20, clients=2)
        found = statistics(server.endpoint, "null")["inference_stats"]
    assert found["success"]["count"] == 20
    assert found["compute_infer"]["ns"] == 200_000_000
    assert found["success"]["ns"] == found["queue"]["ns"] + found["compute_infer"]["ns"]
    assert 0.05e9 < found["queue"]["ns"] < 0.25e9


def test_it_ends_with_its_parent() -> None:
    script = (
        "import os; from toolkit.load.null_server import *\n"
        "with null_server(Behaviour()) as server: print(server.pid, flush=True); os._exit(0)"
    )
    pid = int(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail(f"the null server {pid} is still alive")


def test_a_behaviour_that_is_not_one() -> None:
    with pytest.raises(ServerTrouble, match="exit code"), null_server(Behaviour(capacity="many")):  # type: ignore[arg-type]
        pass
