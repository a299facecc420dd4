"""Records to figures: hand-made records with known answers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from toolkit.load.goodput import goodput_of, limits_of
from toolkit.load.measurement import Measurement, ModelSplit
from toolkit.load.metric_table import METRICS, metric_named
from toolkit.load.metrics import distribution, measurement_from_records, time_split
from toolkit.load.outcome import CONNECTION_REFUSED, TIMED_OUT, WRONG_ANSWER
from toolkit.load.pattern import Concurrency, RequestRate
from toolkit.load.queue_model import Queue, finish_times_s
from toolkit.load.request_metrics import request_metric, window_times_s
from toolkit.load.request_records import Records
from toolkit.load.slo import TimeLimit, slo_from_text
from toolkit.records import from_data, to_data

LOAD = Concurrency(clients=1)
Make = Callable[..., Records]


def kinds(measurement: Measurement) -> set[str]:
    return {warning.kind for warning in measurement.warnings}


def split_of(model: str, requests: int = 100, **parts: float) -> ModelSplit:
    times = {f"{name}_s": parts.get(name, 0.0) for name in ("request", "queue", "input", "infer", "output")}
    return ModelSplit(
        model=model, requests=requests, failures=0, executions=requests, **times, cache_hits=int(parts.get("hits", 0)),
        batches=(),
    )  # fmt: skip


def test_quantiles_are_exact() -> None:
    found = distribution(np.random.default_rng(0).permutation(np.arange(1, 1001)) / 1000)
    assert [found.at(q).value_s for q in (0.5, 0.9, 0.95, 0.99)] == [0.5, 0.9, 0.95, 0.99]
    assert (found.minimum_s, found.maximum_s, found.count) == (0.001, 1.0, 1000)
    assert found.mean_s == pytest.approx(0.5005)
    low, high = found.at(0.99).low_s, found.at(0.99).high_s
    assert low is not None and high is not None and 0.97 < low < 0.99 < high <= 1.0


def test_correlated_samples_have_wider_intervals() -> None:
    independent = np.random.default_rng(0).exponential(size=4000)
    correlated = np.repeat(independent[:300], 10)
    ends = [(d.at(0.5).low_s, d.at(0.5).high_s) for d in (distribution(independent), distribution(correlated))]
    widths = [high - low for low, high in ends if low is not None and high is not None]
    assert widths[1] > 2 * widths[0]
    assert distribution(correlated).at(0.99).high_s is None


def test_window_is_cut_by_the_intended_send(records_of: Make) -> None:
    records = records_of([0.1] * 100, window_s=(2.0, 8.0), client_cpu_ns=3_000_000_000)
    measured = measurement_from_records(records, LOAD)
    assert (measured.requests, measured.latency.count, measured.warmup_discarded) == (60, 60, 20)
    assert measured.window_s == pytest.approx(6.0)
    assert measured.throughput_per_s == pytest.approx(10.0)
    assert measured.client.cpu_share == pytest.approx(0.5)
    assert measured.client.cpu_per_request_s == pytest.approx(0.05)
    assert kinds(measured) == {"TooFewSamples"} and measured.is_valid


def test_latency_from_the_intended_send_and_service_from_the_real_one(records_of: Make) -> None:
    records = records_of([0.1] * 10)
    records.sent_ns[:] = records.intended_ns + 40_000_000
    measured = measurement_from_records(records, LOAD)
    assert measured.latency.mean_s == pytest.approx(0.1)
    assert measured.service.mean_s == pytest.approx(0.06)


def test_errors_are_counted_by_class_and_kept_out_of_latency(records_of: Make) -> None:
    status = [200] * 6 + [503, 503, TIMED_OUT, WRONG_ANSWER]
    measured = measurement_from_records(records_of([0.1] * 9 + [5.0], status=status, checked=4), LOAD)
    assert {e.kind: e.count for e in measured.errors} == {"HTTP 503": 2, "timed out": 1, "wrong answer": 1}
    assert measured.errors[0].kind == "HTTP 503"
    assert measured.latency.count == 6 and measured.latency.maximum_s == pytest.approx(0.1)
    assert metric_named("errors.rate").value(measured) == pytest.approx(0.4)
    assert {"ServerErrors", "WrongAnswers"} <= kinds(measured) and not measured.is_valid


@pytest.mark.parametrize(
    ("changes", "kind", "is_valid"),
    [
        ({"client_cpu_ns": 6_900_000_000}, None, True),
        ({"client_cpu_ns": 7_100_000_000}, "ClientLimited", False),
        ({"status": [503] * 3 + [200] * 997}, "ServerErrors", True),
        ({"ended": "server lost"}, "ServerLost", False),
        ({"status": CONNECTION_REFUSED}, "NoAnswers", False),
        ({"latencies_s": np.linspace(0.01, 0.012, 1000)}, "Drifting", True),
        ({"latencies_s": np.linspace(0.01, 0.0105, 1000)}, None, True),
        ({"latencies_s": [0.02] * 50 + [0.01] * 950}, "WarmingUp", True),
        ({"connections": 600, "window_s": (1.0, 10.0)}, "WarmingUp", True),
        ({"connections": 40, "window_s": (1.0, 10.0)}, None, True),
        ({"connections": 8, "connection_waits": 3}, "ConnectionLimit", True),
        ({"client_cpu_ns": 14_000_000_000, "busiest_cpu_ns": 5_000_000_000, "processes": 3}, None, True),
        ({"client_cpu_ns": 14_000_000_000, "busiest_cpu_ns": 7_500_000_000, "processes": 2}, "ClientLimited", False),
    ],
)
def test_warnings(records_of: Make, changes: dict[str, object], kind: str | None, is_valid: bool) -> None:
    steady = {"latencies_s": np.random.default_rng(0).uniform(0.009, 0.011, 1000)}
    measured = measurement_from_records(records_of(**(steady | changes)), LOAD)
    assert measured.is_valid == is_valid
    assert kinds(measured) - {"TooFewSamples", "ServerErrors" if kind != "ServerErrors" else ""} == ({kind} - {None})


OPEN_LOAD = RequestRate(rate_per_s=100.0)


@pytest.mark.parametrize(
    ("lag_s", "waits", "kind", "is_valid"),
    [
        (0.0001, 0, None, True),
        (0.0009, 0, "ClientLimited", True),
        (0.0021, 0, "ClientLimited", False),
        (0.0021, 5, "ConnectionLimit", True),
    ],
)
def test_late_sends_of_an_open_loop(
    records_of: Make, lag_s: float, waits: int, kind: str | None, is_valid: bool
) -> None:
    """The median latency is 5 ms, so 0.5 ms are told, and 1 ms is too much."""
    records = records_of(np.random.default_rng(0).uniform(0.0049, 0.0051, 2000), connection_waits=waits, connections=1)
    records.sent_ns[::50] += int(lag_s * 1e9)
    measured = measurement_from_records(records, OPEN_LOAD)
    assert kinds(measured) - {"TooFewSamples"} == {kind} - {None} and measured.is_valid == is_valid
    assert measured.client.send_lag_p99_s == pytest.approx(lag_s)
    closed = measurement_from_records(records, LOAD)
    assert closed.client.send_lag_p99_s is None and closed.offered_per_s is None


@pytest.mark.parametrize(("service_s", "is_achieved"), [(0.008, True), (0.0099, True), (0.012, False)])
def test_an_offered_rate_that_is_not_achieved(records_of: Make, service_s: float, is_achieved: bool) -> None:
    intended = np.arange(2000) * 10_000_000
    done = (finish_times_s(Queue(service_s=service_s), intended / 1e9) * 1e9).astype(np.int64)
    records = records_of(
        np.zeros(2000), intended_ns=intended, sent_ns=intended, done_ns=done, first_ns=done, window_s=(2.0, 20.0)
    )
    measured = measurement_from_records(records, OPEN_LOAD)
    assert measured.offered_per_s == pytest.approx(100)
    assert ("OfferedNotAchieved" not in kinds(measured)) == is_achieved
    assert metric_named("throughput.offered").value(measured) == measured.offered_per_s


def test_rare_quantiles_are_computed_where_there_are_samples(records_of: Make) -> None:
    for count, is_there in ((999, False), (1000, True)):
        found = measurement_from_records(records_of(np.linspace(0.01, 0.011, count)), LOAD)
        assert (metric_named("latency.p99.9").value(found) is not None) == is_there


def test_goodput(records_of: Make) -> None:
    latencies = np.where(np.arange(1000) % 10 == 0, 0.03, 0.01)
    records = records_of(latencies, status=np.where(np.arange(1000) % 100 == 5, 503, 200))
    within = (TimeLimit(metric="latency", limit_s=0.02), TimeLimit(metric="service", limit_s=0.02))
    found = goodput_of(within, records)
    assert found is not None and found.share == pytest.approx(0.89)
    assert found.per_s == pytest.approx(890 / latencies.sum(), rel=1e-3)
    assert found.low_share < 0.89 < found.high_share and found.low_per_s < found.per_s < found.high_per_s
    assert goodput_of((TimeLimit(metric="ttft", limit_s=0.02),), records) is None
    assert goodput_of(within, records_of([0.1] * 10, window_s=(5.0, 6.0))) is None


def test_times_of_a_stream(records_of: Make) -> None:
    """Three responses, one, none."""
    records = records_of(
        [0.1, 0.1, 0.1],
        responses=np.array([3, 1, 0], np.int32),
        response_ns=np.array([20, 30, 60, 150], np.int64) * 1_000_000,
    )
    assert request_metric("ttft").times_s(records).tolist() == pytest.approx([0.02, 0.05, np.inf])
    tpot = request_metric("tpot").times_s(records)
    assert tpot[0] == pytest.approx(0.02) and np.isnan(tpot[1:]).all()


def test_figures_of_streams(records_of: Make) -> None:
    """Requests of 100 ms: three responses, two, and a failure after one; each with its gaps."""
    records = records_of(
        [0.1, 0.1, 0.1],
        status=[200, 200, 503],
        responses=np.array([3, 2, 1], np.int32),
        response_ns=np.array([20, 30, 60, 150, 160, 250], np.int64) * 1_000_000,
        window_s=(0.0, 0.155),
    )
    streams = measurement_from_records(records, LOAD).streams
    assert streams is not None
    assert (streams.ttft.count, streams.ttft.at(0.5).value_s) == (2, pytest.approx(0.02))
    assert (streams.tpot.count, streams.tpot.mean_s) == (2, pytest.approx(0.015))
    assert (streams.itl.count, streams.itl.maximum_s) == (3, pytest.approx(0.03))
    assert streams.tokens_per_s == pytest.approx(4 / 0.155)  # the fifth came after the window, the sixth had failed
    assert streams.tokens == 2.5
    assert measurement_from_records(records_of([0.1] * 3), LOAD).streams is None


def test_an_inter_token_latency_is_a_gap_and_a_failure_is_one_without_end(records_of: Make) -> None:
    records = records_of(
        [0.1, 0.1], status=[200, 503], responses=np.array([3, 2], np.int32),
        response_ns=np.array([20, 30, 60, 150, 160], np.int64) * 1_000_000,
    )  # fmt: skip
    assert window_times_s("itl", records).tolist() == pytest.approx([0.01, 0.03, np.inf])
    assert window_times_s("ttft", records).tolist() == pytest.approx([0.02, np.inf])


@pytest.mark.parametrize(
    ("slo", "limits"),
    [
        ("p99=20ms", []),
        ("ttft=200ms,tpot=50ms", [("ttft", 0.2), ("tpot", 0.05)]),
        ("ttft.p99=200ms,tpot.p90=50ms,p99=1s", [("ttft", 0.2), ("tpot", 0.05)]),
        ("goodput(latency=1s)=0.9,ttft.p99=200ms", [("latency", 1.0)]),
    ],
)
def test_what_one_request_has_to_keep(slo: str, limits: list[tuple[str, float]]) -> None:
    assert [(bound.metric, bound.limit_s) for bound in limits_of(slo_from_text(slo))] == limits


def test_cache_hits_are_named(records_of: Make) -> None:
    measured = measurement_from_records(records_of([0.1] * 10), LOAD, models=(split_of("m", hits=3),))
    assert "CacheOn" in kinds(measured) and measured.is_valid


@pytest.mark.parametrize("ended", ["interrupted", "server lost"])
def test_a_point_that_ended_in_its_warm_up(records_of: Make, ended: str) -> None:
    measured = measurement_from_records(records_of([], window_s=(1.0, 1.0), ended=ended), LOAD)
    assert (measured.requests, measured.latency.count, measured.throughput_per_s) == (0, 0, 0.0)
    assert measured.interrupted == (ended == "interrupted") and not measured.is_valid
    assert [m.name for m in METRICS if m.value(measured) is None and m.name.startswith("latency")]
    assert from_data(Measurement, to_data(measured), "measurement") == measured


def test_split_adds_up(records_of: Make) -> None:
    records = records_of([0.010] * 100)
    records.sent_ns[:] += 1_000_000
    model = split_of("m", request=0.007, queue=0.002, input=0.0005, infer=0.003, output=0.0005)
    split = time_split(records, [model], 0, 10**12)
    assert split is not None
    assert (split.client_s, split.network_s, split.remainder_s) == pytest.approx((0.001, 0.002, 0.001))
    parts = (split.queue_s, split.input_s, split.infer_s, split.output_s, split.network_s, split.client_s)
    assert sum(parts) + split.remainder_s == pytest.approx(split.latency_s) == pytest.approx(0.010)


def test_split_of_an_ensemble_has_the_queues_of_its_steps(records_of: Make) -> None:
    ensemble = split_of("e", requests=100, request=0.009, infer=0.004)
    steps = [split_of("a", requests=100, queue=0.002), split_of("b", requests=50, queue=0.004)]
    split = time_split(records_of([0.010] * 100), [ensemble, *steps], 0, 10**12)
    assert split is not None
    assert split.queue_s == pytest.approx(0.004)
    assert split.remainder_s == pytest.approx(0.001)


def test_split_takes_requests_done_between_the_snapshots(records_of: Make) -> None:
    records, model = records_of([0.010] * 50 + [0.020] * 50), split_of("m", request=0.02)
    split = time_split(records, [model], int(0.51e9), 10**12)
    assert split is not None and split.latency_s == pytest.approx(0.020)
    assert split.network_s == pytest.approx(0.0)
    assert time_split(records, [model], 10**12, 10**13) is None
    assert time_split(records, [split_of("m", requests=0)], 0, 10**12) is None


def test_the_metric_table(records_of: Make) -> None:
    records = records_of(np.full(1000, 0.010))
    model = split_of("m", request=0.009, infer=0.009)
    split = time_split(records, [model], 0, 10**12)
    measured = measurement_from_records(records, LOAD, models=(model,), split=split)
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    assert all(metric.formula and metric.unit for metric in METRICS)
    unknown = {metric.name for metric in METRICS if metric.value(measured) is None}
    assert {name for name in unknown if name.partition(".")[0] not in ("ttft", "tpot", "itl", "tokens", "goodput")} == {
        "batch_size.mean", "throughput.offered", "client.send_lag_p99"
    }  # fmt: skip
    assert metric_named("latency.p99").value(measured) == pytest.approx(0.010)
    assert metric_named("throughput.mean").value(measured) == pytest.approx(100, rel=0.01)
