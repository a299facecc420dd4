"""The repository linter: contradictions that Triton refuses, silently repairs, or answers wrongly.

In: a repository folder, ours or anybody's. Out: remarks, each with the rule's id and the remedy; none when it is clean.
Nothing is loaded or executed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit.repository import lint_config, lint_files
from toolkit.repository.lint_subject import Subject, subjects
from toolkit.repository.publish import entry_folders

Severity = Literal["error", "warning", "remark"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`text` is what is wrong with it: what a server does with such an entry. `find` gives one sentence a finding."""

    id: str
    severity: Severity
    text: str
    remedy: str
    find: Callable[[Subject], Iterator[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One finding. An `error` keeps Triton from serving the entry as it is meant; `text` names the place and value."""

    rule: str
    severity: Severity
    entry: str
    text: str
    remedy: str


#: Id, severity, text, remedy, check. An id is never given to another rule.
_TABLE: tuple[tuple[str, Severity, str, str, Callable[[Subject], Iterator[str]]], ...] = (
    (
        "TR001",
        "error",
        "The config.pbtxt does not parse; Triton does not load the entry.",
        "correct the line that is named",
        lint_config.unreadable_config,
    ),
    (
        "TR002",
        "error",
        "The name in the config differs from the folder's; Triton does not load the entry.",
        "make `name` the folder's name",
        lint_config.foreign_name,
    ),
    (
        "TR003",
        "warning",
        "Without max_batch_size a reader cannot tell 0 from forgotten, and auto-completion may choose one.",
        "write max_batch_size, also when it is 0",
        lint_config.implicit_max_batch_size,
    ),
    (
        "TR004",
        "error",
        "A preferred batch above the largest can never form; Triton does not load the entry.",
        "lower preferred_batch_size or raise max_batch_size",
        lint_config.preferred_above_max,
    ),
    (
        "TR005",
        "error",
        "Dynamic batching needs a batch axis; requests would run one by one.",
        "set max_batch_size above 0, or remove dynamic_batching",
        lint_config.batching_without_batch,
    ),
    (
        "TR006",
        "error",
        "The ensemble's tensors do not close over its models; Triton does not load it.",
        "correct the step's input_map and output_map",
        lint_config.open_ensemble,
    ),
    (
        "TR007",
        "error",
        "Ragged batches are concatenated into one axis, so the input must have exactly one.",
        "give the input dims [ -1 ], or remove allow_ragged_batch",
        lint_config.ragged_not_flat,
    ),
    (
        "TR008",
        "remark",
        "Without a server cache it does nothing; with one, repeated requests are not inferences.",
        "start the server with --cache-config, and never measure with it on; or set enable: false",
        lint_config.cache_enabled,
    ),
    (
        "TR009",
        "error",
        "Outputs are compared exactly with the graph; Triton does not load the entry.",
        "copy names, types and dims from the graph, the batch axis left out",
        lint_files.outputs_unlike_graph,
    ),
    (
        "TR010",
        "error",
        "Batching needs a leading axis of variable length on every input and output.",
        "export the model with a batch axis, or set max_batch_size to 0 and write whole dims",
        lint_files.fixed_batch,
    ),
    (
        "TR011",
        "error",
        "The model is not where the server looks for it.",
        "put the model file into every version folder, or set default_model_filename",
        lint_files.missing_model,
    ),
    (
        "TR012",
        "error",
        "A warm-up request that the model does not take; Triton does not load the entry.",
        "make the warm-up's inputs those of the model, with lengths in place of -1",
        lint_config.wrong_warmup,
    ),
    (
        "TR013",
        "error",
        "Classification answers carry labels from a file that is not there.",
        "put the label file beside config.pbtxt, one label a line, or remove label_filename",
        lint_files.missing_labels,
    ),
    (
        "TR014",
        "remark",
        "The entry cannot be served without that GPU.",
        "say KIND_AUTO and leave gpus out, unless this repository is for one known machine",
        lint_config.tied_to_gpu,
    ),
    (
        "TR015",
        "error",
        "The server's Python may not have that package; the entry fails to load elsewhere.",
        "add the package to the entry's requirements.txt",
        lint_files.undeclared_import,
    ),
    (
        "TR016",
        "error",
        "The native backend ignores it silently; the embedded one refuses it.",
        "correct or remove the parameter",
        lint_config.unknown_parameter,
    ),
    (
        "TR017",
        "warning",
        "Everything is left to auto-completion, which differs between backends and releases.",
        "write a config.pbtxt; the server's view of it is GET /v2/models/NAME/config",
        lint_config.missing_config,
    ),
    (
        "TR018",
        "error",
        "Inputs must be the graph's; Triton does not load the entry.",
        "copy names, types and fixed dims from the graph, the batch axis left out",
        lint_files.inputs_unlike_graph,
    ),
    (
        "TR019",
        "warning",
        "A first axis of another name may not be the batch: batched answers would go to the wrong requests.",
        "export again with the same name for the first axis of every input and output",
        lint_files.several_batch_axes,
    ),
    (
        "TR020",
        "error",
        "The model file cannot be read or holds what Triton cannot serve.",
        "export the model again",
        lint_files.unreadable_model,
    ),
)
RULES = tuple(
    Rule(id=id, severity=severity, text=text, remedy=remedy, find=find) for id, severity, text, remedy, find in _TABLE
)


def lint_repository(repository: Path) -> tuple[Remark, ...]:
    """Every remark, in the order of entries and rules. Raises RepositoryError for a folder that is no repository."""
    return tuple(remark for subject in subjects(entry_folders(repository)) for remark in _remarks(subject))


def _remarks(subject: Subject) -> Iterator[Remark]:
    # What does not parse cannot contradict itself: TR001 alone.
    for rule in RULES[:1] if subject.config_error else RULES:
        for text in rule.find(subject):
            yield Remark(rule=rule.id, severity=rule.severity, entry=subject.path.name, text=text, remedy=rule.remedy)
