"""A PoC as a notebook opened it: the folder read, and what the notebook changed about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import UsageError
from toolkit.load.pattern import load_text
from toolkit.poc import Poc, read_poc
from toolkit.tune.words import target_text
from toolkit.workflow.runs import RUNS
from toolkit.workshop.actions import ROOT
from toolkit.workshop.plain import plainly
from toolkit.workshop.show import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """`model` stands in place of the one in poc.yaml, `settings` are KEY=VALUE over it. Runs go below `root`."""

    poc: Poc
    model: str = ""
    settings: tuple[str, ...] = ()
    root: Path = ROOT / RUNS

    @property
    def changes(self) -> dict[str, object]:
        """What differs from poc.yaml, as the command line and `read_poc` take it."""
        return {"model": self.model, "settings": self.settings}

    @property
    def tune_settings(self) -> tuple[str, ...]:
        """The same as settings alone, for commands without --model."""
        return (*((f"models.{self.poc.model}.source={self.model}",) if self.model else ()), *self.settings)

    def _table(self) -> Table:
        poc = self.poc
        loads = "  |  ".join(f"{load_text(load)}, {load.duration_s:g} s" for load in poc.file.loads)
        rows = [
            ("title", poc.file.title),
            ("your model", self.model or ", ".join(spec.source for spec in poc.file.models.values())),
            ("objective (SLO)", " and ".join(target_text(c) for c in poc.slo.criteria)),
            ("configurations", ", ".join(c.name for c in poc.candidates)),
            ("loads", loads),
            *((("sizes", "smoke sizes: short loads, the same path"),) if poc.smoke else ()),
        ]
        return Table(columns=("what", "value"), rows=tuple(rows))

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()

    def __repr__(self) -> str:
        return repr(self._table())


def read_opened(folder: Path, model: str, settings: tuple[str, ...]) -> Opened:
    """Read a PoC with its changes. Raises ConfigurationError and UsageError."""
    place = _located(model)
    poc = read_poc(folder, settings=settings, model=place or None)
    return Opened(poc=poc, model=place, settings=settings)


def _located(model: str) -> str:
    """MODEL with its path from where the kernel runs, else from the project's folder."""
    place = Path(model.partition(":")[0])
    if not model or place.exists():
        return model
    if not (ROOT / place).exists():
        raise UsageError(f"{place} is not there", mend="a path from the folder of the notebook's project, or upload it")
    return str(ROOT / model)


@plainly
def open_poc(folder: str, *, model: str = "", settings: tuple[str, ...] = ()) -> Opened:
    """Read a PoC folder, relative to where the notebook's project stands. POC_FAST=1 gives its smoke sizes.

    model: MODEL in place of poc.yaml's: a path from the project's folder, or file.py:factory. settings: KEY=VALUE.
    """
    place = Path(folder) if Path(folder).is_dir() else ROOT / folder
    return read_opened(place, model, settings)
