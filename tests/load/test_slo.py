"""An SLO as text: what is read, what is refused, and that it survives the way back."""

from __future__ import annotations

import pytest

from toolkit.errors import UsageError
from toolkit.load.request_metrics import REQUEST_METRICS
from toolkit.load.slo import REQUEST_TIMES, criterion_text, slo_from_text


@pytest.mark.parametrize(
    ("text", "criteria"),
    [
        ("p99=20ms", [("latency", "p99", 0.02)]),
        ("latency.p99.9=1s", [("latency", "p99.9", 1.0)]),
        ("service.mean=500us", [("service", "mean", 500e-6)]),
        ("throughput=100", [("throughput", "mean", 100.0)]),
        ("throughput.mean = 100/s", [("throughput", "mean", 100.0)]),
        ("errors=0.1%", [("errors", "rate", 0.001)]),
        ("ttft.p99=200ms,tpot.mean=50ms", [("ttft", "p99", 0.2), ("tpot", "mean", 0.05)]),
        ("itl.p99=30ms,itl.mean=20ms", [("itl", "p99", 0.03), ("itl", "mean", 0.02)]),
        ("ttft=200ms,tpot=50ms,errors=1%", [("goodput", "rate", 0.95), ("errors", "rate", 0.01)]),
        ("goodput(ttft=200ms, tpot=50ms)=0.95,p99=1s", [("goodput", "rate", 0.95), ("latency", "p99", 1.0)]),
        ("goodput.rate (latency=50ms) = 95 %", [("goodput", "rate", 0.95)]),
        ("p90=5ms, throughput=1e3,errors.rate=1 %", [("latency", "p90", 0.005), ("throughput", "mean", 1000.0),
                                                    ("errors", "rate", 0.01)]),
    ],
)  # fmt: skip
def test_read(text: str, criteria: list[tuple[str, str, float]]) -> None:
    slo = slo_from_text(text)
    assert [(c.metric, c.statistic) for c in slo.criteria] == [(metric, statistic) for metric, statistic, _ in criteria]
    assert [c.limit for c in slo.criteria] == pytest.approx([limit for *_, limit in criteria])
    assert slo_from_text(",".join(criterion_text(c) for c in slo.criteria)) == slo


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        ("p99", "no limit"),
        ("p99=", "no limit"),
        ("latency.p99", "no limit"),
        ("p99=20", "no unit"),
        ("p99=20ms,p99=30ms", "two limits"),
        ("p99=20ms,", "empty"),
        ("latency=20ms", "no statistic is given"),
        ("p0=20ms", "no statistic of latency"),
        ("p100=20ms", "no statistic of latency"),
        ("median=20ms", "'median' is no statistic"),
        ("first.p99=20ms", "'first.p99' is no statistic"),
        ("itl=20ms", "no statistic is given"),
        ("ttft=20", "no unit"),
        ("ttft=", "no limit"),
        ("ttft=20ms,ttft=30ms", "two limits"),
        ("ttft=20ms,goodput(tpot=20ms)=0.9", "two limits"),
        ("goodput(itl=20ms)=0.9", "expected each limit"),
        ("goodput=0.9", "needs the times"),
        ("goodput()=0.9", "expected each limit"),
        ("goodput(p99=20ms)=0.9", "expected each limit"),
        ("goodput(latency=20)=0.9", "no unit"),
        ("goodput(latency=20ms)=0", "more than 0"),
        ("goodput(latency=20ms)=95", "less than 1"),
        ("goodput(latency=20ms)=", "not a number"),
        ("p99=0ms", "more than 0"),
        ("throughput=fast", "not a number"),
        ("throughput=-1", "more than 0"),
        ("throughput=nan", "more than 0"),
        ("throughput.p99=1", "no statistic of throughput"),
        ("errors=0.1", "percentage"),
        ("errors=0%", "more than 0 %"),
        ("errors=100%", "less than 100 %"),
    ],
)
def test_refused_with_a_mend(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as found:
        slo_from_text(text)
    assert complaint in found.value.message
    assert found.value.mend


@pytest.mark.parametrize("text", ["goodput(ttft=200ms,tpot=50ms)=0.95", "ttft=200ms,tpot=50ms"])
def test_goodput_holds_its_times(text: str) -> None:
    """Limits of a request without a statistic are the same as a goodput of 95 %."""
    (criterion,) = slo_from_text(text).criteria
    assert [(bound.metric, bound.limit_s) for bound in criterion.within] == [("ttft", 0.2), ("tpot", 0.05)]
    assert criterion_text(criterion) == "goodput(ttft=200ms,tpot=50ms)=0.95"


def test_every_declared_time_can_be_limited() -> None:
    assert tuple(metric.name for metric in REQUEST_METRICS) == REQUEST_TIMES
