"""What one validator said about one file of a bundle, or about one document in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from toolkit.errors import ConfigurationError, ToolkitError

Outcome = Literal["ok", "failed", "skipped"]

#: More of a reason than this is a whole document, which nobody reads in a table.
_MOST_CHARACTERS = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one tool said about one file; `document` names one of several in it; `reason` is empty when it is ok."""

    tool: str
    file: str
    outcome: Outcome
    document: str = ""
    reason: str = ""


def judged(tool: str, file: str, check: Callable[[], object], document: str = "") -> Finding:
    """The finding of a check that raises when it is not content."""
    try:
        check()
    except (KeyError, TypeError, AttributeError) as err:
        reason = f"not built as expected: {err!r}"
    except (ValueError, ToolkitError) as err:
        reason = str(err)
    else:
        return Finding(tool=tool, file=file, document=document, outcome="ok")
    return Finding(tool=tool, file=file, document=document, outcome="failed", reason=reason[:_MOST_CHARACTERS])


def refuse_unsound(findings: tuple[Finding, ...]) -> None:
    """Raise ConfigurationError that names every failed finding, if there is one."""
    failed = [f"{' '.join((f.file, f.document)).strip()}: {f.tool}: {f.reason}" for f in findings if is_failed(f)]
    if failed:
        raise ConfigurationError(
            "the bundle is not sound and was not written:\n  " + "\n  ".join(failed),
            mend="compare deploy_templates/ with the released ones, and run toolkit repo lint",
        )


def is_failed(finding: Finding) -> bool:
    """Whether a validator that was here was not content."""
    return finding.outcome == "failed"
