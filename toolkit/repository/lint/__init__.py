"""The repository linter: contradictions that Triton refuses, silently repairs, or answers wrongly.

In: a repository folder, ours or anybody's. Out: remarks, each with the rule's id and the remedy; none when it is clean.
Nothing is loaded or executed. What Triton refuses was read in triton-inference-server/core, src/model_config_utils.cc
(ValidateModelConfig, ValidateInstanceGroup, ValidateIOShape, ValidateBatchIO, ValidateEnsembleSchedulingConfig) and
src/ensemble_scheduler/ensemble_utils.cc, release 26.09.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import UsageError
from toolkit.repository.lint import batching, config, ensembles, files, graph, instances, llm, python, tensors
from toolkit.repository.lint.rule import Rule, Severity
from toolkit.repository.lint.subject import Subject, subjects
from toolkit.repository.publish import entry_folders

__all__ = ["RULES", "Remark", "Rule", "Severity", "lint_repository", "rule_of", "rules_table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One finding. An `error` keeps Triton from serving the entry as it is meant; `text` names the place and value."""

    rule: str
    severity: Severity
    entry: str
    text: str
    remedy: str


#: Every rule, by id.
RULES: tuple[Rule, ...] = tuple(
    sorted(
        (
            *config.RULES,
            *tensors.RULES,
            *batching.RULES,
            *instances.RULES,
            *ensembles.RULES,
            *files.RULES,
            *graph.RULES,
            *python.RULES,
            *llm.RULES,
        ),
        key=lambda rule: rule.id,
    )
)


def lint_repository(repository: Path) -> tuple[Remark, ...]:
    """Every remark, in the order of entries and rules. Raises RepositoryError for a folder that is no repository."""
    return tuple(remark for subject in subjects(entry_folders(repository)) for remark in _remarks(subject))


def rule_of(id: str) -> Rule:
    """The rule with an id such as TR004. Raises UsageError for no rule."""
    known = {rule.id: rule for rule in RULES}
    if id.upper() not in known:
        close = difflib.get_close_matches(id.upper(), known, n=3, cutoff=0.5)
        raise UsageError(f"there is no rule '{id}'", mend=f"did you mean {', '.join(close) or 'TR001'}?")
    return known[id.upper()]


def rules_table() -> str:
    """The rules as a Markdown table, as model_repo/README.md has it."""
    rows = (f"| {r.id} | {r.severity} | {r.text} | {r.remedy} |" for r in RULES)
    return "\n".join(("| rule | severity | what a server does | remedy |", "|---|---|---|---|", *rows)) + "\n"


def _remarks(subject: Subject) -> Iterator[Remark]:
    # What does not parse cannot contradict itself: TR001 alone.
    for rule in (config.unreadable_config,) if subject.config_error else RULES:
        for text in rule.find(subject):
            yield Remark(rule=rule.id, severity=rule.severity, entry=subject.path.name, text=text, remedy=rule.remedy)
