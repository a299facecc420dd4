"""A PoC folder: `poc.yaml` and what it names. The only module that knows how such a folder looks.

In: a folder, and what the command line changes about it. Out: a Poc, every default filled in, or a
ConfigurationError that names the file and the field. Nothing is run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.errors import ConfigurationError, UsageError
from toolkit.export.parity import Tolerance
from toolkit.export.spec import PRECISION_NAMES, variant_file
from toolkit.families import FAMILIES
from toolkit.families.family import Family
from toolkit.index.spec import IndexSpec
from toolkit.load.pattern import Load
from toolkit.load.slo import Slo, slo_from_text
from toolkit.models.source import with_paths
from toolkit.records import SCHEMA, from_data, read_yaml
from toolkit.repository.pipeline import Pipeline
from toolkit.tune.decision import Candidate
from toolkit.tune.space import Ranges

FILE = "poc.yaml"


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


def read_poc(folder: Path, *, smoke: bool = False, settings: tuple[str, ...] = (), model: str | None = None) -> Poc:
    """Read `folder/poc.yaml`.

    smoke: apply its `smoke:` overrides (also when POC_FAST=1). settings: `KEY=VALUE` texts, KEY a dotted path, VALUE
    YAML. model: a MODEL in place of the one in poc.yaml. Raises ConfigurationError and UsageError.
    """
    path = folder / FILE
    if not path.is_file():
        raise ConfigurationError(
            f"{folder} is not a PoC folder: it has no {FILE}", mend="toolkit new NAME --model MODEL"
        )
    data = read_yaml(path)
    smoke = smoke or os.environ.get("POC_FAST") == "1"
    overrides = data.pop("smoke", {})
    data = merged(data, overrides) if smoke else data
    for text in settings:
        data = merged(data, _setting_from_text(text))
    if data.pop("schema", None) != SCHEMA:
        raise ConfigurationError(f"{path}: schema is missing or not {SCHEMA}", mend=f"write `schema: {SCHEMA}` on top")
    file: PocFile = from_data(PocFile, data, str(path))
    return _poc(file if model is None else _with_model(file, model), folder.resolve().name, path, smoke)


def read_resolved(path: Path, name: str) -> Poc:
    """The PoC that a run really ran, from the resolved file in its run folder. Its sources may be gone by now."""
    return _poc(from_data(PocFile, read_yaml(path), str(path)), name, path, False)


def _poc(file: PocFile, name: str, path: Path, smoke: bool) -> Poc:
    poc = Poc(
        name=name,
        folder=path.parent.resolve(),
        file=file,
        family=_family(file.family, path),
        slo=_slo(file.slo, path),
        smoke=smoke,
    )
    _check(poc, path)
    return poc


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `change` laid over it: mappings merge key by key, everything else is replaced.

    A mapping that names candidates replaces the whole set, so that `smoke:` can measure fewer.
    """
    result = dict(base)
    for key, value in change.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping) and key != "candidates"
        result[key] = merged(result[key], value) if both else value
    return result


def _served(config: Mapping[str, Any]) -> dict[str, Any]:
    """A candidate's partial ModelConfig, in which a `variant` is the file that holds the entry in that precision."""
    rest = {key: value for key, value in config.items() if key != "variant"}
    return rest | ({"default_model_filename": variant_file(str(config["variant"]))} if "variant" in config else {})


def _setting_from_text(text: str) -> dict[str, Any]:
    import yaml

    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--set '{text}' is not KEY=VALUE", mend="for example --set parity.clients=8")
    try:
        data = yaml.safe_load(value)
    except yaml.YAMLError as err:
        raise UsageError(f"--set '{text}': the value is not YAML") from err
    for part in reversed(key.split(".")):
        data = {part: data}
    return dict(data)


def _with_model(file: PocFile, model: str) -> PocFile:
    from dataclasses import replace

    if len(file.models) != 1:
        raise UsageError("--model needs a PoC with one model", mend="use --set models.NAME.source=MODEL")
    ((name, spec),) = file.models.items()
    source = with_paths(model, lambda path: str(path.resolve()))
    return replace(file, models={name: replace(spec, source=source)})


def _slo(text: str, path: Path) -> Slo:
    try:
        return slo_from_text(text)
    except UsageError as err:
        raise ConfigurationError(f"{path}: slo: {err.message}", mend=err.mend) from err


def _family(name: str, path: Path) -> Family:
    if name not in FAMILIES:
        raise ConfigurationError(f"{path}: family is '{name}'; expected one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def _check(poc: Poc, path: Path) -> None:
    """What the field types cannot say."""
    file = poc.file
    entries = {*file.models, *file.steps, *([file.pipeline.name] if file.pipeline else [])}
    if not file.models:
        raise ConfigurationError(f"{path}: models is empty; name at least one model")
    if len(file.models) > 1 and file.pipeline is None:
        raise ConfigurationError(f"{path}: {len(file.models)} models and no pipeline", mend="add a `pipeline:`")
    if not file.loads:
        raise ConfigurationError(f"{path}: loads is empty; name at least one", mend="loads: [{clients: 8}]")
    for step in file.pipeline.steps if file.pipeline else ():
        if step.model not in entries:
            raise ConfigurationError(f"{path}: pipeline step '{step.model}' is neither under models nor under steps")
    _check_made(file, path)
    _check_precisions(file, path)
    named = [(f"candidates.{name}.{entry}", entry) for name, c in file.search.candidates.items() for entry in c]
    for where, entry in (*named, *((f"ranges.{entry}", entry) for entry in file.search.ranges)):
        if entry not in entries:
            raise ConfigurationError(f"{path}: search.{where} is not an entry; entries: {', '.join(sorted(entries))}")


def _check_precisions(file: PocFile, path: Path) -> None:
    """Whether the precisions exist, and each that a candidate serves is made."""
    for model, spec in file.models.items():
        for precision in spec.export.precisions:
            if precision not in PRECISION_NAMES:
                known = ", ".join(PRECISION_NAMES)
                where = f"{path}: models.{model}.export.precisions"
                raise ConfigurationError(f"{where}: '{precision}' is not one of: {known}")
    for name, entries in file.search.candidates.items():
        for entry, config in entries.items():
            made = ("fp32", *file.models[entry].export.precisions) if entry in file.models else ()
            if "variant" in config and config["variant"] not in made:
                raise ConfigurationError(
                    f"{path}: search.candidates.{name}.{entry}.variant is '{config['variant']}', which is not made; "
                    f"there are: {', '.join(dict.fromkeys(made)) or 'none'}",
                    mend=f"name it in models.{entry}.export.precisions",
                )


def _check_made(file: PocFile, path: Path) -> None:
    """Whether all that `data`, `indexes`, `steps` and `questions` name is made here, and under one name."""
    names = [*file.models, *file.data, *file.indexes]
    made = set(names)
    wanted = [(f"data.{n}.needs", need) for n, d in file.data.items() for need in d.needs]
    wanted += [(f"indexes.{n}.data", i.data) for n, i in file.indexes.items()]
    wanted += [(f"steps.{n}.files", s.files) for n, s in file.steps.items() if s.files and "/" not in s.files]
    wanted += [(key, name) for key in ("questions", "quality") if (name := getattr(file, key))]
    for where, name in wanted:
        if name not in made:
            known = ", ".join(sorted(made))
            raise ConfigurationError(f"{path}: {where} names '{name}', which is not made here; there are: {known}")
    for name in made:
        if names.count(name) > 1:
            raise ConfigurationError(f"{path}: '{name}' stands for two of models, data and indexes")
