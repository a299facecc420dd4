"""A report without the customer: names and paths replaced, figures left as they are. A Report in, a Report out.

Replaced wherever they stand in any text: the title, the PoC's and the entries' names, artifacts, tensors, machine-local
paths, addresses, and words that the caller names. What cannot be known, such as a name within a free text, is the
caller's to name. The evidence's digest stays, so that the owner can still tell which run it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from toolkit.records import from_data, to_data
from toolkit.report.report import Report
from toolkit.size.plan import CapacityPlan

TITLE = "Proof of concept"
#: An absolute or home path of two parts and more, not part of a URL or of `requests/s`; and a host with its port.
PATH = re.compile(r"(?<![\w:/.])(?:~|\.{0,2})/(?:[\w.@+-]+/)+[\w.@+-]*|(?<![\w/])(?:runs|pocs|model_repo)/[\w./@+-]+")
ADDRESS = re.compile(r"\b(?:\d{1,3}(?:\.\d{1,3}){3}|[\w-]+(?:\.[\w-]+)+):\d{2,5}\b")


def redacted(report: Report, words: tuple[str, ...] = ()) -> Report:
    """The report with every name of the customer's replaced; `words` are further ones. Case does not matter."""
    names = replacements(report, words)
    pattern = re.compile("|".join(rf"(?<![A-Za-z0-9]){re.escape(n)}(?![A-Za-z0-9])" for n in names), re.IGNORECASE)

    def hide(text: str) -> str:
        text = PATH.sub("[path]", text)
        text = ADDRESS.sub("[address]", text)
        return pattern.sub(lambda match: names[match.group(0).lower()], text) if names else text

    shown: Report = from_data(Report, _mapped(to_data(report), hide), "the redacted report")
    return shown


def replacements(report: Report, words: tuple[str, ...]) -> dict[str, str]:
    """Each name in lower case with what stands in its place, the longest first."""
    found = {word.lower(): "[customer]" for word in words if word}
    found |= {report.title.lower(): TITLE} if report.title else {}
    kinds = (
        ("model", _entries(report)),
        ("artifact", (a.name for a in report.artifacts)),
        ("tensor", _tensors(report)),
    )
    for kind, names in kinds:
        new = [name for name in dict.fromkeys(names) if name and name.lower() not in found]
        found |= {name.lower(): f"{kind}-{number}" for number, name in enumerate(new, 1)}
    if report.poc:
        found.setdefault(report.poc.lower(), "poc")
    # A family is the toolkit's own word, not the customer's, even where a PoC has its name.
    found.pop(report.family.lower(), None)
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def _entries(report: Report) -> Iterator[str]:
    yield from (step.name for step in report.steps)
    yield from (split.model for m in report.measurements for split in m.models)
    yield from (entry for trial in report.trials for entry in trial.candidate.config)
    yield from (recall.entry for recall in report.index_recall)
    if isinstance(report.sizing, CapacityPlan):
        yield report.sizing.model


def _tensors(report: Report) -> Iterator[str]:
    """Names of tensors that are no common word: a report is full of `input` and `output` that mean no tensor."""
    common = {"input", "output", "image", "x", "y", "logits", "probabilities", "label", "score", "query"}
    for artifact in report.artifacts:
        for spec in (*artifact.signature.inputs, *artifact.signature.outputs):
            if spec.name.lower() not in common and len(spec.name) > 2:
                yield spec.name


def _mapped(data: Any, hide: Any) -> Any:
    """Every text of plain data, keys too, through `hide`; but for the names of types and fields, which are ours."""
    if isinstance(data, dict):
        is_value = "type" in data
        return {
            (key if is_value else hide(key)): value if is_value and key == "type" else _mapped(value, hide)
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [_mapped(value, hide) for value in data]
    return hide(data) if isinstance(data, str) else data
