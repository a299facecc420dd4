"""The arithmetic of a certification, from numbers: what passes, what fails, and what the certificate then says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.cli import show_certificate
from toolkit.load.certify.accuracy import AccuracyPoint, Comparison, comparisons, judged
from toolkit.load.certify.certification import Certification, StallCheck, certificate_text
from toolkit.load.certify.honest_rate import Ceiling, RateProbe, highest_rate, probe_from_records
from toolkit.load.certify.store import certificate_here, certificate_path, store

PROBE = RateProbe(
    rate_per_s=8000.0, answered_per_s=7990.0, send_lag_p99_s=150e-6, cpu_share=0.5, cpu_per_request_s=20e-6,
    server_cpu_share=0.6, failed=0,
)  # fmt: skip
CEILING = Ceiling(
    clients=16, answered_per_s=30e3, cpu_share=0.9, cpu_per_request_s=9e-6, server_cpu_share=0.95,
    server_cpu_per_request_s=9e-6,
)  # fmt: skip


def latency(true_s: float, error_s: float, q: float = 0.99) -> Comparison:
    return Comparison(quantity="latency", q=q, measured_s=true_s + error_s, true_s=true_s)


POINT = AccuracyPoint(
    behaviour="constant", share=0.5, rate_per_s=4000.0, round=0, requests=4000, unpaired=0, acausal=0, failed=0,
    server_late_p99_s=90e-6, comparisons=(latency(0.002, 50e-6),),
)  # fmt: skip
PASSED = Certification(
    at="2026-01-02T03:04:05+00:00",
    took_s=60.0,
    load_average=0.1,
    certified_rate_per_s=8000.0,
    ceiling=CEILING,
    probes=(PROBE, replace(PROBE, rate_per_s=9000.0, send_lag_p99_s=300e-6)),
    points=(POINT,),
    stall=StallCheck(stall_s=1.0, open=latency(0.96, 0.001), closed=latency(0.002, 0.0)),
)


def test_one_that_passes() -> None:
    assert PASSED.passed and all(f.ok for f in PASSED.findings)
    assert PASSED.limited_by == "send lag"
    certificate = PASSED.certificate
    assert (certificate.certified_rate_per_s, certificate.cpu_per_request_s) == (8000.0, 20e-6)
    assert certificate.send_lag_p99_s == 150e-6 and certificate.passed
    assert certificate.worst_error_s == pytest.approx(50e-6)


FAILED: list[tuple[str, dict[str, Any], str]] = [
    ("no honest rate", {"certified_rate_per_s": 0.0}, "highest honest rate"),
    ("off by more than 200 us", {"points": (replace(POINT, comparisons=(latency(0.002, 201e-6),)),)}, "worst error of"),
    ("off by less than nothing", {"points": (replace(POINT, comparisons=(latency(0.002, -201e-6),)),)}, "worst error"),
    ("off by more than 2 %", {"points": (replace(POINT, comparisons=(latency(0.1, 0.0021),)),)}, "worst error of"),
    ("not in the log", {"points": (replace(POINT, unpaired=1),)}, "not found in the log"),
    ("before it was sent", {"points": (replace(POINT, acausal=1),)}, "before they were sent"),
    ("failed requests", {"points": (replace(POINT, failed=1),)}, "of them failed"),
    ("nothing compared", {"points": ()}, "requests compared with the log"),
    (
        "the open loop hides the stall",
        {"stall": StallCheck(stall_s=1.0, open=latency(0.1, 0.0), closed=latency(0.002, 0.0))},
        "p99 of the open loop, by the log",
    ),
    (
        "the open loop exaggerates it",
        {"stall": StallCheck(stall_s=1.0, open=latency(0.96, 0.03), closed=latency(0.002, 0.0))},
        "error of the open loop's p99",
    ),
    (
        "the closed loop shows it",
        {"stall": StallCheck(stall_s=1.0, open=latency(0.96, 0.0), closed=latency(0.9, 0.0))},
        "a closed loop",
    ),
]


@pytest.mark.parametrize("change, line", [row[1:] for row in FAILED], ids=[row[0] for row in FAILED])
def test_ones_that_fail(change: dict[str, Any], line: str) -> None:
    found = replace(PASSED, **change)
    assert not found.passed and not found.certificate.passed
    assert any(line in f.what for f in found.findings if not f.ok)


def test_a_busy_machine_is_named_when_it_failed() -> None:
    assert "load average 7.5" in replace(PASSED, load_average=7.5, points=()).remedy
    assert replace(PASSED, load_average=7.5).remedy == "" == replace(PASSED, points=()).remedy


def test_two_percent_pass_where_they_are_more_than_200_us() -> None:
    assert replace(PASSED, points=(replace(POINT, comparisons=(latency(0.1, 0.0019),)),)).passed


@pytest.mark.parametrize(
    "change, limits",
    [
        ({}, ()),
        ({"send_lag_p99_s": 201e-6}, ("send lag",)),
        ({"cpu_share": 0.71}, ("client CPU",)),
        ({"failed": 1}, ("failed requests",)),
        ({"send_lag_p99_s": 1.0, "cpu_share": 0.9}, ("send lag", "client CPU")),
    ],
)
def test_what_keeps_a_rate_from_being_honest(change: dict[str, Any], limits: tuple[str, ...]) -> None:
    assert replace(PROBE, **change).limits == limits


def test_a_busy_null_server_is_named() -> None:
    busy = replace(PROBE, rate_per_s=9000.0, send_lag_p99_s=1.0, server_cpu_share=0.97)
    assert replace(PASSED, probes=(PROBE, busy)).limited_by == "send lag (the null server was busy itself)"


@pytest.mark.parametrize("limit", [70.0, 333.0, 1000.0, 1500.0, 26_000.0])
def test_the_highest_rate_is_found(limit: float) -> None:
    tried: list[float] = []

    def holds(rate: float) -> bool:
        tried.append(rate)
        return rate <= limit

    found = highest_rate(holds, first=1000.0, least=50.0, resolution=0.1)
    assert limit / 1.1 <= found <= limit
    assert len(tried) <= 12


def test_no_rate_holds() -> None:
    assert highest_rate(lambda rate: False, first=1000.0, least=50.0, resolution=0.1) == 0.0


def test_the_median_round_is_judged_and_all_are_kept() -> None:
    errors = (10e-6, 900e-6, -30e-6)
    points = tuple(replace(POINT, round=n, comparisons=(latency(0.002, e),)) for n, e in enumerate(errors))
    found = replace(PASSED, points=points)
    (comparison,) = judged(points).values()
    assert comparison.error_s == pytest.approx(-30e-6)
    assert found.passed and len(found.points) == 3


def test_percentiles_are_of_the_same_requests() -> None:
    true_s = np.arange(1, 1001) / 1e3
    (p50, p999) = comparisons("latency", true_s[::-1] + 0.001, true_s, (0.5, 0.999))
    assert (p50.true_s, p999.true_s) == (0.5, 0.999)
    assert p50.error_s == pytest.approx(0.001)
    assert comparisons("latency", true_s[:0], true_s[:0], (0.5,)) == ()


def test_a_probe_from_records(records_of: Any) -> None:
    records = records_of([0.001] * 100, client_cpu_ns=20_000_000)
    lag_ns = np.full(100, 10_000)
    lag_ns[7:9] = 500_000
    probe = probe_from_records(replace(records, sent_ns=records.intended_ns + lag_ns), 0.4, rate_per_s=1000.0)
    assert probe.send_lag_p99_s == 500e-6 and probe.limits == ("send lag",)
    assert probe.answered_per_s == pytest.approx(1000.0, rel=1e-3)
    assert probe.cpu_per_request_s == pytest.approx(200e-6)
    assert probe.cpu_share == pytest.approx(0.2, rel=1e-3)


def test_a_certificate_is_kept_for_this_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert certificate_here() is None
    assert "not certified on this machine; run: toolkit certify" in certificate_text(None)
    assert store(PASSED) == certificate_path()
    assert certificate_path().parent == tmp_path / "poc-toolkit"
    assert certificate_here() == PASSED.certificate
    assert "certified up to 8,000 requests/s" in certificate_text(certificate_here())
    certificate_path().write_text('{"schema": 1, "of": "another version"}')
    assert certificate_here() is None


def test_a_failed_certificate_says_so() -> None:
    assert "failed its certificate" in certificate_text(replace(PASSED.certificate, passed=False))


def test_how_it_is_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    show_certificate.certification(PASSED, tmp_path / "certificate.json", as_json=False)
    text = capsys.readouterr().out
    assert "p99 of the send lag at that" in text and "150 us" in text and "200 us" in text
    assert f"PASS in 60 s; kept in {tmp_path / 'certificate.json'}" in text
    show_certificate.certification(replace(PASSED, points=()), None, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert (document["passed"], document["stored"]) == (False, None)
    assert {"findings", "probes", "points", "stall", "certificate"} <= document.keys()
