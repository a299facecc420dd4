"""The rules of the diagnosis by tables: each limit is named beyond its threshold, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from toolkit.load.measurement import (
    BatchCount,
    ClientHealth,
    Distribution,
    Measurement,
    ModelSplit,
    ProcessUse,
    Quantile,
    ServerMetrics,
    TimeSplit,
    Warning,
)
from toolkit.load.pattern import Concurrency
from toolkit.tune.diagnose import diagnose
from toolkit.tune.findings import LIMITS, Facts, ServedModel, execution_s, time_shares

NET = ServedModel(
    name="net", backend="onnxruntime", is_ensemble=False, instances=2, max_batch_size=8, is_batching=True, delay_us=0,
    threads=1, alone_s=0.004,
)  # fmt: skip


def split(
    model: str = "net", *, queue_s: float = 0.0, size: int = 1, taken_s: float = 0.005, **more: Any
) -> ModelSplit:
    figures = {
        "requests": 800, "failures": 0, "executions": 800 // size, "request_s": 0.006, "input_s": 0.0,
        "infer_s": taken_s, "output_s": 0.0, "cache_hits": 0,
    }  # fmt: skip
    batches = (BatchCount(size=size, executions=800 // size, infer_s=taken_s),)
    return ModelSplit(**({"model": model, "queue_s": queue_s, "batches": batches} | figures | more))


def window(
    *splits: ModelSplit, cpu: float = 1.9, client: float = 0.1, p50_s: float = 0.006, warned: tuple[Warning, ...] = ()
) -> Measurement:
    latency = Distribution(
        count=800, mean_s=p50_s, minimum_s=0.0, maximum_s=1.0,
        quantiles=(Quantile(q=0.5, value_s=p50_s, low_s=None, high_s=None),),
    )  # fmt: skip
    parts = TimeSplit(
        latency_s=0.006, queue_s=0.0, input_s=0.0, infer_s=0.005, output_s=0.0, network_s=0.0005, client_s=0.0,
        remainder_s=0.0005,
    )  # fmt: skip
    return Measurement(
        load=Concurrency(clients=1), latency=latency, service=latency, throughput_per_s=200.0, offered_per_s=None,
        requests=800, errors=(), window_s=4.0, warmup_discarded=0, models=splits, split=parts,
        client=ClientHealth(cpu_share=client, cpu_per_request_s=1e-5), warnings=warned,
        server=ProcessUse(cpu_share=cpu, resident_bytes=1 << 28, processes=3),
    )  # fmt: skip


def over_the_network(seconds: float) -> Measurement:
    quiet = window(split())
    assert quiet.split is not None
    return replace(quiet, split=replace(quiet.split, latency_s=0.02, network_s=seconds))


def beside(machine: float) -> Measurement:
    """With one client, on a machine that is used so much in all: 55 % of two cores are ours."""
    metrics = ServerMetrics(
        pending_at_start=0, pending_at_end=0, failures={}, machine_cpu_share=machine, machine_memory_bytes=None, gpus=()
    )
    return replace(window(split(), cpu=1.0), server_metrics=metrics)


HEALTHY = Facts(
    models=(NET,),
    cores=2.0,
    memory_bytes=8 << 30,
    quiet=window(split(), cpu=1.0),
    loaded=window(split(queue_s=0.004, size=8, taken_s=0.020)),
    slow=window(split(), cpu=0.2),
    clients=16,
    first_s=(0.012, 0.006),
)


def warning(kind: str, figure: float, *, invalid: bool = False) -> Warning:
    return Warning(kind=kind, text=f"{kind} text", figure=figure, threshold=0.0, invalid=invalid)


def with_model(**changes: Any) -> Facts:
    return replace(HEALTHY, models=(replace(NET, **changes),))


STEP = ServedModel(
    name="step", backend="python", is_ensemble=False, instances=1, max_batch_size=8, is_batching=True, delay_us=0,
    threads=None,
)  # fmt: skip
WIDE = replace(NET, threads=2, instances=1)
#: The limit, facts that show it, facts that hardly do not.
CASES: list[tuple[str, Facts, Facts]] = [
    (
        "client",
        replace(HEALTHY, loaded=window(split(queue_s=0.004, size=8, taken_s=0.02), client=0.75)),
        replace(HEALTHY, loaded=window(split(queue_s=0.004, size=8, taken_s=0.02), client=0.65)),
    ),
    (
        "network",
        replace(HEALTHY, quiet=over_the_network(0.014)),
        replace(HEALTHY, quiet=over_the_network(0.008)),
    ),
    ("other work", replace(HEALTHY, quiet=beside(0.9)), replace(HEALTHY, quiet=beside(0.7))),
    (
        "overload",
        replace(HEALTHY, slow=window(split(), cpu=0.2, warned=(warning("OfferedNotAchieved", 0.8),))),
        replace(HEALTHY, slow=window(split(), cpu=0.2, warned=(warning("OfferedNotAchieved", 0.97),))),
    ),
    (
        "queue delay",
        replace(with_model(delay_us=5000), quiet=window(split(queue_s=0.005))),
        replace(with_model(delay_us=2000), quiet=window(split(queue_s=0.002))),
    ),
    (
        "batching off",
        replace(with_model(is_batching=False), loaded=window(split(queue_s=0.030))),
        replace(with_model(is_batching=False), loaded=window(split(queue_s=0.004))),
    ),
    (
        "batching starved",
        replace(with_model(instances=8, threads=None), loaded=window(split(queue_s=0.001, size=2))),
        replace(with_model(instances=8, threads=None), loaded=window(split(queue_s=0.001, size=4))),
    ),
    (
        "instances too few",
        replace(with_model(instances=1), loaded=window(split(queue_s=0.020, size=4, taken_s=0.020), cpu=1.1)),
        replace(with_model(instances=1), loaded=window(split(queue_s=0.020, size=4, taken_s=0.020), cpu=1.8)),
    ),
    ("threads oversubscribed", with_model(threads=2), with_model(threads=1)),
    (
        "threads spinning",
        replace(HEALTHY, models=(WIDE,), slow=replace(window(split(), cpu=0.9), throughput_per_s=40.0)),
        replace(HEALTHY, models=(WIDE,), slow=replace(window(split(), cpu=0.5), throughput_per_s=40.0)),
    ),
    ("python overhead", with_model(alone_s=0.002), with_model(alone_s=0.003)),
    (
        "preprocessing",
        replace(HEALTHY, models=(STEP, NET), quiet=window(split("step", taken_s=0.009), split())),
        replace(HEALTHY, models=(STEP, NET), quiet=window(split("step", taken_s=0.006), split())),
    ),
    (
        "copy",
        replace(with_model(alone_s=None), quiet=window(split(input_s=0.002, output_s=0.002, request_s=0.009))),
        replace(with_model(alone_s=None), quiet=window(split(input_s=0.001, output_s=0.001, request_s=0.009))),
    ),
    ("data conversion", replace(HEALTHY, json_share=1.0), replace(HEALTHY, json_share=0.0)),
    ("memory", replace(HEALTHY, memory_bytes=280 << 20), replace(HEALTHY, memory_bytes=300 << 20)),
    (
        "power or thermal limit",
        replace(HEALTHY, quiet=window(split(), cpu=1.0, warned=(warning("Throttled", 0.2),))),
        replace(HEALTHY, quiet=window(split(), cpu=1.0, warned=(warning("Drifting", 0.2),))),
    ),
    ("cold start", replace(HEALTHY, first_s=(0.5,)), replace(HEALTHY, first_s=(0.05,))),
    (
        "response cache",
        replace(HEALTHY, quiet=window(split(cache_hits=5), warned=(warning("CacheOn", 0.5),))),
        replace(HEALTHY, quiet=window(split())),
    ),
]  # fmt: skip


def test_a_healthy_server_names_nothing() -> None:
    assert diagnose(HEALTHY) == ()


def test_every_limit_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(LIMITS)


@pytest.mark.parametrize(("limit", "shown", "hardly"), CASES, ids=[case[0] for case in CASES])
def test_a_limit_is_named_beyond_its_threshold_alone(limit: str, shown: Facts, hardly: Facts) -> None:
    found = diagnose(shown)
    assert [f.limit for f in found] == [limit]
    assert found[0].figure > found[0].threshold == LIMITS[limit]
    assert found[0].evidence and found[0].remedy
    assert diagnose(hardly) == ()


def test_remedies_that_are_settings_name_the_entry_in_tritons_words() -> None:
    changes = {limit: diagnose(shown)[0].change for limit, shown, _ in CASES}
    assert changes["queue delay"] == {"net": {"dynamic_batching": {"max_queue_delay_microseconds": 400}}}
    assert changes["instances too few"] == {"net": {"instance_group": [{"count": 2}]}}
    assert changes["threads oversubscribed"] == {"net": {"parameters": {"intra_op_thread_count": 1}}}
    assert changes["batching off"]["net"]["max_batch_size"] == 8
    assert changes["client"] == changes["network"] == {}


def test_on_an_unknown_machine_nothing_is_said_of_cores() -> None:
    remote = replace(with_model(threads=2, instances=8), cores=0.0, memory_bytes=None)
    assert "threads oversubscribed" not in {f.limit for f in diagnose(remote)}
    assert diagnose(Facts(models=(), cores=0.0)) == ()


def test_an_execution_is_weighted_by_the_sizes_that_were_executed() -> None:
    batches = (BatchCount(size=1, executions=3, infer_s=0.001), BatchCount(size=8, executions=1, infer_s=0.005))
    assert execution_s(replace(split(), batches=batches, input_s=0.001)) == pytest.approx(0.003)


def test_shares_of_the_mean_request_add_up() -> None:
    assert sum(time_shares(HEALTHY.quiet or window()).values()) == pytest.approx(1.0)
    assert time_shares(replace(window(), split=None)) == {}


def test_times_are_not_compared_while_others_work() -> None:
    disturbed = replace(with_model(alone_s=0.001), quiet=beside(1.0))
    assert [f.limit for f in diagnose(disturbed)] == ["other work"]


def test_executions_after_a_pause_are_not_compared_with_executions_without_one() -> None:
    rare = replace(window(split()), window_s=9.0)
    assert diagnose(replace(with_model(alone_s=0.001), quiet=rare)) == ()


def test_where_every_core_has_its_thread_no_instance_is_missing() -> None:
    loaded = window(split(queue_s=0.020, size=4, taken_s=0.020), cpu=1.1)
    one = replace(with_model(instances=1, threads=2), loaded=loaded)
    assert diagnose(one) == ()
    assert diagnose(replace(one, models=(replace(NET, instances=1, threads=0),))) == ()


def test_a_request_sent_late_at_hardly_any_load_does_not_blame_the_load_generator() -> None:
    late = window(split(), cpu=0.2, warned=(warning("ClientLimited", 0.002, invalid=True),))
    assert diagnose(replace(HEALTHY, slow=late)) == ()
    assert [f.limit for f in diagnose(replace(HEALTHY, quiet=late))] == ["client"]
