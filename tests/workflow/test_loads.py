"""What is typed about load, as loads, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import ToolkitError, UsageError
from toolkit.load.pattern import Concurrency, Load, Ramp, RequestRate, Trace
from toolkit.workflow.loads import LoadOptions, loads_from_options

LOADS: dict[str, tuple[dict[str, Any], tuple[Load, ...]]] = {
    "nothing": ({}, tuple(Concurrency(clients=n, duration_s=10.0, warmup_s=1.0) for n in (1, 2, 4, 8))),
    "clients": (
        {"concurrency": "3, 5", "duration": "2s"},
        tuple(Concurrency(clients=n, duration_s=2.0, warmup_s=0.5) for n in (3, 5)),
    ),
    "rates": (
        {"rate": "100,0.5", "duration": "800ms"},
        tuple(RequestRate(rate_per_s=r, duration_s=0.8, warmup_s=0.2) for r in (100.0, 0.5)),
    ),
    "bursts": (
        {"rate": "40", "arrival": "gamma", "variation": 2.5, "max_connections": 7},
        (RequestRate(rate_per_s=40.0, arrival="gamma", variation=2.5, duration_s=10.0, max_connections=7),),
    ),
    "a ramp": (
        {"ramp": "100..800", "arrival": "constant", "duration": "1m"},
        (Ramp(from_per_s=100.0, to_per_s=800.0, arrival="constant", duration_s=60.0, warmup_s=1.0),),
    ),
    "a scenario has loads of its own": ({"scenario": "server", "rate": "100"}, ()),
    "a scenario of so many clients": ({"scenario": "offline", "concurrency": "8", "duration": "5s"}, ()),
}


@pytest.mark.parametrize(("options", "loads"), LOADS.values(), ids=LOADS)
def test_loads(options: dict[str, Any], loads: tuple[Load, ...]) -> None:
    assert loads_from_options(LoadOptions(**options)) == loads


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "two kinds": ({"rate": "1", "concurrency": "1"}, "--concurrency and --rate are two kinds"),
    "a kind and a scenario": ({"ramp": "1..2", "scenario": "offline"}, "--scenario offline and --ramp"),
    "a stream at a rate": ({"rate": "1", "scenario": "single-stream"}, "--scenario single-stream and --rate"),
    "arrivals of a scenario": ({"rate": "1", "scenario": "server", "arrival": "constant"}, "not for --scenario"),
    "words": ({"concurrency": "1,x"}, "'x' is not a number"),
    "half a client": ({"concurrency": "1.5"}, "'1.5' is not a number"),
    "no client": ({"concurrency": "0"}, "clients is 0"),
    "a rate of zero": ({"rate": "100,0"}, "rate_per_s is 0"),
    "a negative rate": ({"rate": "-5"}, "rate_per_s is -5"),
    "an endless rate": ({"rate": "inf"}, "rate_per_s is inf"),
    "twice the same": ({"rate": "100,100.0"}, "100 twice"),
    "no variation": ({"rate": "1", "arrival": "gamma", "variation": 0.0}, "variation is 0"),
    "variation of what": ({"rate": "1", "variation": 2.0}, "gamma"),
    "arrivals of a closed loop": ({"arrival": "poisson"}, "--arrival is for --rate or --ramp, not for --concurrency"),
    "connections of a closed loop": ({"concurrency": "1", "max_connections": 2}, "not for --concurrency"),
    "no connection": ({"rate": "1", "max_connections": 0}, "max_connections is 0"),
    "half a ramp": ({"ramp": "100"}, "FROM..TO"),
    "a ramp from nothing": ({"ramp": "0..100"}, "from_per_s is 0"),
    "a ramp in bursts": ({"ramp": "1..2", "arrival": "gamma"}, "not gamma"),
    "no unit": ({"duration": "10"}, "unit"),
    "no time": ({"duration": "0s"}, "duration_s is 0"),
    "the time of a trace": ({"trace": Path("t.txt"), "duration": "1s"}, "not for --trace"),
}


@pytest.mark.parametrize(("options", "said"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        loads_from_options(LoadOptions(**options))
    assert said in str(caught.value)


def test_a_trace_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "trace.txt"
    path.write_text("0.0\n0.25\n0.75\n")
    (load,) = loads_from_options(LoadOptions(trace=path, max_connections=3))
    assert isinstance(load, Trace)
    assert (load.timestamps_s, load.max_connections) == ((0.0, 0.25, 0.75), 3)


def test_a_trace_in_milliseconds(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text('{"timestamp": 0}\n{"timestamp": 1500}\n')
    (load,) = loads_from_options(LoadOptions(trace=path, trace_unit="ms"))
    assert isinstance(load, Trace) and load.timestamps_s == (0.0, 1.5)


@pytest.mark.parametrize(("text", "said"), [("0.2\n0.1\n", "sort"), ("-1\n", "trace.txt:1"), ("", "no timestamp")])
def test_a_trace_that_cannot_be_driven_names_its_mend(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "trace.txt"
    path.write_text(text)
    with pytest.raises(ToolkitError) as caught:
        loads_from_options(LoadOptions(trace=path))
    assert said in str(caught.value)
