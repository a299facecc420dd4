"""A report without the customer: no name and no path of theirs is left, and no figure is changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from toolkit.records import to_data
from toolkit.report.html import render_html
from toolkit.report.redact import ADDRESS, PATH, redacted
from toolkit.report.report import Report

Reports = dict[str, Callable[..., Report]]


@pytest.fixture
def customers(reports: Reports) -> Report:
    report = reports["passed"]()
    commands = ("toolkit run /home/acme/pocs/acme-fraud --set x=1", "toolkit report runs/acme-fraud/2026-abc")
    pipeline = "One request of digits carries one image of ACME's"
    return replace(report, title="ACME fraud detection", poc="acme-fraud", commands=commands, pipeline=pipeline)


def numbers(report: Report) -> list[str]:
    return re.findall(r"(?<=: )-?\d[\d.e+-]*", json.dumps(to_data(report)))


def test_names_paths_and_words_are_gone_and_figures_are_as_they_were(customers: Report) -> None:
    shown = redacted(customers, ("ACME",))
    page = render_html(shown)
    for name in ("acme", "fraud", "digits_classifier", "/home/", "runs/"):
        assert name not in page.lower(), name
    assert "model-1" in page and "[path]" in page and "Proof of concept" in page
    assert numbers(shown) == numbers(customers)
    assert shown.environment == customers.environment and shown.decision.outcome == customers.decision.outcome


def test_the_same_name_is_always_replaced_alike(customers: Report) -> None:
    shown = redacted(customers)
    names = {split.model for m in shown.measurements for split in m.models}
    assert names == {"model-1", "model-2", "model-3"} == {step.name for step in shown.steps} | names
    assert redacted(shown) == redacted(redacted(shown))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see /home/ann/model.py", "see [path]"),
        ("~/work/x/y.onnx", "[path]"),
        ("1,234 requests/s and p99/p50", "1,234 requests/s and p99/p50"),
        ("https://www.nvidia.com/en-us/data-center/l4/", "https://www.nvidia.com/en-us/data-center/l4/"),
        ("toolkit report runs/vision/2026-a/", "toolkit report [path]"),
    ],
)
def test_what_is_a_path(text: str, shown: str) -> None:
    assert PATH.sub("[path]", text) == shown


def test_addresses() -> None:
    assert ADDRESS.sub("[address]", "at gpu-box.acme.local:8000 and 10.0.0.7:8001") == "at [address] and [address]"
