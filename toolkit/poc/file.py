"""`poc.yaml`, key by key, and the Poc that it is read as. Values only; nothing is read or run here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.export.parity import Tolerance
from toolkit.export.spec import variant_file
from toolkit.families.family import Family
from toolkit.index.spec import IndexSpec
from toolkit.load.pattern import Load
from toolkit.load.slo import Slo
from toolkit.models.source import with_paths
from toolkit.repository.pipeline import Pipeline
from toolkit.tune.decision import Candidate
from toolkit.tune.space import Ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How a model is exported. `inputs` are `NAME:DTYPE:DIM,...` texts, for a model file without `sample_inputs`.

    Besides float32 it is made in each of `precisions`, and one that loses more than `accuracy_budget` is rejected; a
    candidate serves one with `{ENTRY: {variant: int8-qdq}}`.
    """

    inputs: tuple[str, ...] = ()
    sample_count: int = 64
    opset: int = 20
    tolerance: Tolerance | None = None
    precisions: tuple[str, ...] = ("fp32",)
    accuracy_budget: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One model. `config` is a partial ModelConfig in Triton's own field names."""

    source: str
    samples: str | None = None
    labels: tuple[str, ...] = ()
    export: ExportOptions = field(default_factory=ExportOptions)
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """One python-backend step of the toolkit's; its settings are the `parameters` of `config`.

    `files` names the entry under `data` or `indexes` that holds the files which the step serves; with a slash in it
    (`./tokenizer`), a folder of the PoC's own.
    """

    step: str
    config: dict[str, Any] = field(default_factory=dict)
    files: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """Arrays that a function of the PoC makes, as `FILE.py:FUNCTION`.

    Each name in `needs`, of a model, an index or other data, is an argument of the function: the folder where it lies.
    """

    source: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """A vector index over the array `vectors` of an entry under `data`, with `ids` where it makes these.

    `recall` is the share of true neighbours that it must find as it is served, for the vectors `queries` of the same
    data, or for its own where it makes none.
    """

    data: str
    build: IndexSpec
    recall: float
    vectors: str = "vectors"
    ids: str = "ids"
    queries: str = "queries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The configurations to measure: by name, per repository entry, a partial ModelConfig.

    `ranges` are what `toolkit tune` varies of each entry; without any it takes defaults for the machine.
    """

    candidates: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {"as-configured": {}})
    ranges: dict[str, Ranges] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityOptions:
    """Live parity: how many clients send at once, and how many samples (all held-out ones count besides)."""

    clients: int = 16
    requests: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeOptions:
    """The demand to plan for after the decision. `trace` and `prices` are paths from the PoC's folder.

    `growth` is a text as "30%/year"; `prices` may be `example`. What is absent here is as in `toolkit size`.
    """

    rate_per_s: float | None = None
    trace: str | None = None
    growth: str | None = None
    prices: str | None = None
    headroom: float = 0.3
    spare: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PocFile:
    """poc.yaml, key by key.

    `arguments` are handed to those functions of the PoC's own code that name them: sizes, seeds, paths.
    `questions` names an entry under `data` whose arrays `input.NAME` and `answer.NAME`, a row each, are what is asked
    and what must be answered, by code of the customer's own; `label`, if any, is the truth by the family's metric.
    `workload` says what is sent to an entry that is not asked with rows of tensors, in the words of its family.
    `quality` names one whose arrays `metric` and `system` (texts) and `value` [metrics, systems] the report shows.
    """

    family: str
    title: str
    models: dict[str, ModelSpec]
    loads: tuple[Load, ...]
    slo: str
    arguments: dict[str, Any] = field(default_factory=dict)
    data: dict[str, DataSpec] = field(default_factory=dict)
    indexes: dict[str, IndexOptions] = field(default_factory=dict)
    steps: dict[str, StepSpec] = field(default_factory=dict)
    questions: str | None = None
    quality: str | None = None
    workload: dict[str, Any] = field(default_factory=dict)
    pipeline: Pipeline | None = None
    search: Search = field(default_factory=Search)
    parity: ParityOptions = field(default_factory=ParityOptions)
    size: SizeOptions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Poc:
    """A PoC ready to run. `file` holds what poc.yaml says after `smoke:` and the command line were applied."""

    name: str
    folder: Path
    file: PocFile
    family: Family
    slo: Slo
    smoke: bool

    @property
    def measured(self) -> str:
        """The repository entry that a customer calls, and that is measured."""
        return self.file.pipeline.name if self.file.pipeline else next(iter(self.file.models))

    @property
    def model(self) -> str:
        """The model whose answers parity compares: the one that makes the last answer."""
        names = [s.model for s in self.file.pipeline.steps] if self.file.pipeline else list(self.file.models)
        return [n for n in names if n in self.file.models][-1]

    @property
    def served_indexes(self) -> dict[str, str]:
        """The entries that serve an index, with the name of that index."""
        return {n: s.files for n, s in self.file.steps.items() if s.files in self.file.indexes}

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The configurations to measure, in the order of poc.yaml."""
        return tuple(
            Candidate(name=name, config={entry: _served(config) for entry, config in entries.items()})
            for name, entries in self.file.search.candidates.items()
        )

    @property
    def workload(self) -> dict[str, Any]:
        """What is sent, the path of a trace made absolute."""
        trace = self.file.workload.get("trace")
        return self.file.workload | ({"trace": str(self.folder / trace)} if isinstance(trace, str) else {})

    def own_files_of(self, step: str) -> Path | None:
        """The folder beside poc.yaml whose files a step serves; None where these are made, or there are none."""
        files = self.file.steps[step].files or ""
        return self.folder / files if "/" in files else None

    def data_source_of(self, name: str) -> str:
        """The FILE:FUNCTION text of an entry under `data`, its path made absolute."""
        return str(self.folder / self.file.data[name].source)

    def source_of(self, model: str) -> str:
        """The MODEL text of a model, its path made absolute."""
        return with_paths(self.file.models[model].source, lambda path: str(self.folder / path))


def _served(config: Mapping[str, Any]) -> dict[str, Any]:
    """A candidate's partial ModelConfig, in which a `variant` is the file that holds the entry in that precision."""
    rest = {key: value for key, value in config.items() if key != "variant"}
    return rest | ({"default_model_filename": variant_file(str(config["variant"]))} if "variant" in config else {})
