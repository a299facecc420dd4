"""Why torch.export failed, in the customer's terms: the line, the axis, the change that mends it.

In: the exporter's error, and the guards that torch logged while it traced. Out: an ExportFailed to raise.
"""

from __future__ import annotations

import linecache
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import ExportFailed
from toolkit.models.code import customer_line

_LOGGER = "torch.fx.experimental.symbolic_shapes"
_GUARD = re.compile(r"\[guard added\].*?(\S+\.py):(\d+) in ")
_STATIC = re.compile(r"static shape of (\d+) for dimension inputs\['(\w+)'\]\.shape\[(\d+)\]")


class GuardLog(logging.Handler):
    """Collects the places where tracing decided on the size of an axis; torch's error does not name them."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.places: list[tuple[str, int]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the place of a guard, as torch words it in `ShapeEnv._log_guard`."""
        if found := _GUARD.search(record.getMessage()):
            self.places.append((found[1], int(found[2])))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Have torch log its guards for the time of the block."""
        logger = logging.getLogger(_LOGGER)
        level = logger.level
        logger.setLevel(logging.INFO)
        logger.addHandler(self)
        try:
            yield
        finally:
            logger.removeHandler(self)
            logger.setLevel(level)

    def line_beside(self, path: Path) -> str:
        """`file:line` of the last guard in a module beside the customer's file, else an empty text."""
        modules = {p.name: p for p in path.parent.glob("*.py")}
        places = [f"{modules[Path(f).name]}:{line}" for f, line in self.places if Path(f).name in modules]
        return places[-1] if places else ""


def diagnosis(err: BaseException, path: Path, guards: GuardLog) -> ExportFailed:
    """The known causes by name; any other with the line of the customer's code that torch was tracing."""
    cause = err.__cause__ or err
    line = customer_line(cause, path)
    text = str(cause).strip()
    if static := _STATIC.search(text):
        place = guards.line_beside(path)
        where = f" at {place} ({_code_at(place)})" if place else ""
        return ExportFailed(
            f"axis {static[3]} of input '{static[2]}' cannot vary: the model only takes length {static[1]}{where}",
            mend="make forward() the same for every length: x.shape[0] or -1 in place of a number, no `if` on a shape",
        )
    if "data-dependent" in text:
        return ExportFailed(
            f"{line}: the values of a tensor decide which code runs ({_code_at(line)})",
            mend="compute both and choose with torch.where, use torch.cond, or move the choice out of forward()",
        )
    untranslated = re.search(r"translating node .*?torch\.ops\.([\w.]+)", text)
    if untranslated:
        return ExportFailed(
            f"{line}: ONNX has no counterpart of {untranslated[1].removesuffix('.default')}, which the model calls",
            mend="say it in forward() with other operators; export.log has the whole of torch's explanation",
        )
    return ExportFailed(
        f"{line}: torch.export cannot trace the model: {type(cause).__name__}: {text.splitlines()[0] if text else ''}",
        mend="read export.log for the whole of torch's explanation",
    )


def _code_at(place: str) -> str:
    file, _, line = place.rpartition(":")
    return linecache.getline(file, int(line)).strip() if line.isdigit() else "no source"
