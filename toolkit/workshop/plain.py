"""Errors as a notebook shows them: what, where, and the mend, without a traceback; also for cells run out of order."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from IPython.core.getipython import get_ipython

from toolkit.errors import ToolkitError

P = ParamSpec("P")
R = TypeVar("R")

INTERRUPTED = "interrupted; what was finished is kept\n  mend: run the cell again: it goes on from there"


class WorkshopStop(Exception):
    """Ends a cell with a plain message instead of a traceback."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


def plainly(function: Callable[P, R]) -> Callable[P, R]:
    """Turn the toolkit's errors, and the kernel's Interrupt, into a plain message with the mend, without a traceback.

    Whatever was started is put away by then: servers and workers are closed by the `with` blocks on the way.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ToolkitError as err:
            raise WorkshopStop(str(err)) from None
        except KeyboardInterrupt:
            raise WorkshopStop(INTERRUPTED) from None

    return wrapped


def explain_missing_names() -> None:
    """In a notebook, say of a name that is not there yet that the cells above come first."""
    shell = get_ipython()
    if shell is not None:
        shell.set_custom_exc((NameError,), _missing_name)


def _missing_name(shell: Any, kind: type, error: NameError, trace: Any, tb_offset: int | None = None) -> list[str]:
    lines = [
        f"'{error.name}' is not there: a cell that makes it has not run since the kernel started",
        "  mend: Run > Run All Above Selected Cell, then this one again; what was measured is not measured twice",
    ]
    shell._showtraceback(WorkshopStop, WorkshopStop("\n".join(lines)), lines)
    return lines
