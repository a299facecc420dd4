"""One measurement at a time: notebooks that measured side by side on one machine would falsify each other's figures."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from IPython.display import display

from toolkit.workshop.show import note

FILE = ".measuring"


@contextmanager
def turn(root: Path, what: str) -> Iterator[None]:
    """Hold the folder of runs `root` for a measurement of `what`; while another process holds it, say so and wait.

    The kernel's Interrupt ends the waiting; a process that ends, however it does, gives its turn back.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            text = (
                f"another notebook is measuring {file.read() or 'now'}; two at once would falsify each other, so this "
                "cell waits until it is done (Kernel > Interrupt: do not wait)"
            )
            display({"text/html": note(text), "text/plain": text}, raw=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(what)
        file.flush()
        yield
