"""A kernel of a notebook as JupyterLab starts it, so that cells can be run, interrupted and killed in a test."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager
from jupyter_lab import environment_of

BEGIN = "from toolkit import workshop"


@dataclass(slots=True)
class Kernel:
    """`begin` starts a cell, `end` waits for it; `run` is both. What a reader sees is text and the error's lines."""

    manager: KernelManager
    client: BlockingKernelClient

    def run(self, code: str, seconds: float = 90) -> tuple[str, str]:
        return self.end(self.begin(code), seconds)

    def begin(self, code: str) -> str:
        return str(self.client.execute(code))

    def end(self, cell: str, seconds: float = 90) -> tuple[str, str]:
        """The text of a cell's outputs and the lines of its error, empty without one."""
        text, error, until = "", "", time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                message: dict[str, Any] = self.client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            content = message["content"]
            if message["parent_header"].get("msg_id") != cell:
                continue
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                return text, error
            text += content.get("text", "") + content.get("data", {}).get("text/plain", "")
            error += "\n".join(content.get("traceback", ()))
        raise AssertionError(f"the cell is not done after {seconds:g} s: {text}")


@contextmanager
def kernel_of(workplace: Path) -> Iterator[Kernel]:
    """A fresh kernel in the notebooks' folder, with the workshop imported; it is ended whatever happened to it."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=environment_of(workplace), cwd=str(workplace / "notebooks"))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        kernel = Kernel(manager=manager, client=client)
        assert kernel.run(BEGIN)[1] == ""
        yield kernel
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=False)
        manager.cleanup_resources()
