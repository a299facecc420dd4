"""The referee of a sweep: when it is refused, and that it follows each of our closed loops."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import MissingDependency, UsageError
from toolkit.load.pattern import Concurrency, Load, RequestRate
from toolkit.load.perf_analyzer import VARIABLE, PerfAnalyzer
from toolkit.workflow.jobs import Job
from toolkit.workflow.referee import referee_for, referee_points, with_referee

CLOSED = (Concurrency(clients=1), Concurrency(clients=8))


@pytest.mark.parametrize(
    ("loads", "protocol"), [((), "http"), ((RequestRate(rate_per_s=9.0),), "http"), (CLOSED, "grpc")]
)
def test_what_it_does_not_drive_alike_is_refused(loads: tuple[Load, ...], protocol: str) -> None:
    with pytest.raises(UsageError, match="closed loops over HTTP only"):
        referee_for("perf_analyzer", loads, protocol)
    assert referee_for("toolkit", loads, protocol) is None


def test_it_is_missed_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(MissingDependency, match="does not start"):
        referee_for("perf_analyzer", CLOSED, "http")


def test_it_follows_each_of_our_loads(tmp_path: Path) -> None:
    ours = [Job(key=load.name, inputs=number, text="", do=lambda *_: None) for number, load in enumerate(CLOSED)]
    tool = PerfAnalyzer(path=tmp_path / "none", version="2.51.0")
    jobs = with_referee(ours, tmp_path, "net", CLOSED, tool)
    names = [load.name for load in CLOSED]
    assert [job.key for job in jobs] == [names[0], f"referee/{names[0]}", names[1], f"referee/{names[1]}"]
    assert jobs[1].inputs == {"ours": 0, "referee": "perf_analyzer 2.51.0"}
    assert referee_points(tmp_path, CLOSED) == ()
