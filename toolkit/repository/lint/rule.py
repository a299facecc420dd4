"""What a rule of the linter is: a declaration with the check that finds it.

A rule is written once, over the function that finds it; the table in model_repo/README.md, `--explain` and the tests
iterate over the declarations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from toolkit.repository.lint.subject import Subject

Severity = Literal["error", "warning", "remark"]
Check = Callable[[Subject], Iterator[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`text` is what a server does with such an entry. `find` gives one sentence for each finding."""

    id: str
    severity: Severity
    text: str
    remedy: str
    find: Check


def rule(id: str, severity: Severity, text: str, remedy: str) -> Callable[[Check], Rule]:
    """Make a Rule of the check below it. An id is never given to another rule."""
    return lambda find: Rule(id=id, severity=severity, text=text, remedy=remedy, find=find)
