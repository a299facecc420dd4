"""Plans: tables of arithmetic on figures, and whole ones on a queue of known behaviour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulated_run import measured, served

from toolkit.environment import UNKNOWN, Environment, Gpu
from toolkit.errors import UsageError
from toolkit.load.pattern import RequestRate
from toolkit.load.queue_model import Queue
from toolkit.load.slo import slo_from_text
from toolkit.load.verdict import judge, overall
from toolkit.size.capacity import hardware_of, mean_replicas, plan_of, replicas_for
from toolkit.size.demand import Demand, Interval
from toolkit.size.figure import Figure, combined, given, seen, weakest
from toolkit.size.footprint import Footprint, client_share_text, load_times_s
from toolkit.size.plan import Asked
from toolkit.size.prices import PriceBook, Rented
from toolkit.size.sustained import sustained
from toolkit.tune.decision import Candidate, Point, Trial

QUEUE = Queue(service_s=0.004, law="exponential")
SLO = slo_from_text("p99=60ms")
HERE = Environment(
    cpu="A CPU", cores=4.0, memory_bytes=1 << 33, gpus=(), system="", python="", packages={}, in_container=False
)
FOOTPRINT = Footprint(
    environment=HERE,
    request_bytes=(1000.0, 3000.0),
    response_bytes=700.0,
    repository_bytes=100 << 20,
    memory_bytes=(2.0**30, 2.0**31),
    server_cores=(1.0, 1.8),
    client_cores=(0.1, 0.4),
    load_s=(3.0,),
)


def trial(rates: tuple[float, ...], slo: str = "p99=60ms", duration_s: float = 20.0) -> Trial:
    points = []
    for i, rate in enumerate(rates):
        measurement, records = measured(QUEUE, RequestRate(rate_per_s=rate, duration_s=duration_s, seed=i))
        verdicts = judge(slo_from_text(slo), measurement, records)
        points.append(Point(measurement=measurement, verdicts=verdicts, outcome=overall(verdicts, measurement)))
    return Trial(candidate=Candidate(name="base", config={}), points=tuple(points))


TRIAL = trial((80, 140, 190))


def asked(rate: float = 1000, **changes: object) -> Asked:
    return replace(Asked(demand=Demand(peak_per_s=rate)), **changes)  # type: ignore[arg-type]


def one(value: float, low: float, high: float) -> Figure:
    return Figure(value=value, low=low, high=high, basis="interpolated", how="")


@pytest.mark.parametrize(
    ("rate", "sustains", "changes", "expected"),
    [
        # peak / (0.7 x low), least from high; recommended with one spare; and a quarter more in an update
        (1000, one(120, 100, 150), {}, (15, 10, 16, 20)),
        (700, one(100, 100, 100), {}, (10, 10, 11, 14)),  # an exact multiple does not ask for one more
        (1, one(100, 100, 100), {}, (1, 1, 2, 3)),
        (1000, one(100, 100, 100), {"headroom": 0.0, "spare": 0}, (10, 10, 10, 13)),
        (1000, one(100, 100, 100), {"headroom": 0.5, "spare": 2, "surge": 0.0}, (20, 20, 22, 23)),
    ],
)
def test_replicas_for_a_rate(rate: float, sustains: Figure, changes: dict, expected: tuple[int, ...]) -> None:
    found = replicas_for(rate, sustains, asked(**changes))
    assert (found.for_peak.value, found.for_peak.low, found.recommended, found.during_update) == expected


def test_with_one_replica_away_the_headroom_is_still_there() -> None:
    wanted = asked(3333)
    found = replicas_for(3333, one(90, 80, 100), wanted)
    assert 3333 / (found.recommended - 1) <= (1 - wanted.headroom) * 80


def test_replayed_arrivals_may_ask_for_more() -> None:
    found = replicas_for(1000, one(100, 100, 100), asked(), replayed=one(40, 30, 40))
    assert found.recommended == 41 and found.for_peak.low == 30


def test_a_combined_figure_spans_its_corners_and_is_as_weak_as_its_weakest() -> None:
    product = combined(lambda a, b: a * b, one(2, 1, 3), given(10, "said"), how="")
    assert (product.value, product.low, product.high, product.basis) == (20, 10, 30, "interpolated")
    assert weakest(given(1, ""), seen((1.0, 2.0), "")) == "measured"


def test_the_sustained_rate_is_where_the_limit_leaves_the_interval() -> None:
    found = sustained(TRIAL, SLO, served(QUEUE))
    assert found.curve is not None
    rate = found.rate_per_s
    assert 80 < rate.low < rate.value <= rate.high <= 190
    assert found.curve.at(rate.low).high <= 1.1 * 0.060 < 1.5 * found.curve.at(rate.low + 15).high
    # M/M/1: the p99 is ln(100) / (mu - lambda), so 60 ms are reached at 250 - 76.8 requests/s.
    assert rate.low < 250 - np.log(100) / 0.060 < 1.08 * rate.high


def test_a_criterion_without_a_curve_is_planned_with_the_fastest_passing_point() -> None:
    quick = trial((80, 140, 190), "mean=30ms,errors=1%", duration_s=60.0)
    found = sustained(quick, slo_from_text("mean=30ms"), served(QUEUE))
    assert found.curve is None and found.rate_per_s.basis == "measured"
    passed = [p.measurement.throughput_per_s for p in quick.points if p.verdicts[0].outcome == "PASS"]
    assert passed and found.rate_per_s.low == pytest.approx(max(passed), rel=0.05)


@pytest.mark.parametrize(
    ("slo", "message"), [("p99=1ms", "no rate is sure to hold"), ("mean=1ms", "no point of 'base'")]
)
def test_an_slo_that_no_rate_holds_is_refused(slo: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sustained(TRIAL, slo_from_text(slo), served(QUEUE))


def test_extrapolation_only_where_it_is_asked_for() -> None:
    loose = slo_from_text("p99=500ms")
    within = sustained(TRIAL, loose, served(QUEUE))
    beyond = sustained(TRIAL, loose, served(QUEUE), extrapolate=True)
    assert within.rate_per_s.high == 190 and "more may be possible" in within.rate_per_s.how
    assert beyond.rate_per_s.low > 190 and beyond.rate_per_s.basis == "extrapolated"


def test_a_whole_plan_adds_up() -> None:
    profile = (
        Interval(start_s=0, duration_s=3600, rate_per_s=250),
        Interval(start_s=3600, duration_s=7200, rate_per_s=1000),
    )
    demand = Demand(peak_per_s=1000, profile=profile, growth_per_year=1.0, years=1)
    wanted = asked(demand=demand, nic_bytes_per_s=1e9 / 8, storage_bytes_per_s=100 * 2.0**20)
    book = PriceBook(currency="EUR", source="s", date="d", prices={"cloud": Rented(price_per_hour=1.0)})
    plan = plan_of("run", "net", TRIAL, SLO, served(QUEUE), FOOTPRINT, wanted, prices=book)
    count = plan.replicas.recommended
    assert plan.replicas.for_peak.value == np.ceil(1000 / (0.7 * plan.sustained_per_s.low))
    assert plan.at_peak_per_s.high == pytest.approx(1000 / (count - 1))
    assert [p.replicas for p in plan.profile][1] == count > plan.profile[0].replicas
    assert (
        plan.mean_replicas == mean_replicas(plan.profile) == pytest.approx((plan.profile[0].replicas + 2 * count) / 3)
    )
    assert plan.years[0].peak_per_s == 2000 and plan.years[0].replicas > count
    needs = {r.name: r for r in plan.resources}
    assert needs["Network in"].per_replica.value == pytest.approx(2000 * plan.at_peak_per_s.high * 8 / 1e9)
    assert needs["Network out"].per_replica.value == pytest.approx(1000 * plan.at_peak_per_s.high * 8 / 1e9)
    assert (needs["Memory"].per_replica.low, needs["Memory"].total.high) == (1.0, 2.0 * count)
    assert needs["Cold start, and a rolling update"].per_replica.value == pytest.approx(1.0 + 3.0)
    assert plan.cost is not None and plan.cost.options[0].per_hour.value == pytest.approx(plan.mean_replicas)
    assert all(f.low <= f.value <= f.high for r in plan.resources for f in (r.per_replica, r.total))


def test_a_narrow_link_is_named_as_the_limit() -> None:
    plan = plan_of("r", "net", TRIAL, SLO, served(QUEUE), FOOTPRINT, asked(nic_bytes_per_s=2e6 / 8))
    notes = {r.name: r.note for r in plan.resources}
    assert "the network is the limit" in notes["Network in"] and "DPU" in notes["Network in"]


def test_figures_of_one_machine_are_never_used_for_another() -> None:
    l4 = replace(HERE, gpus=(Gpu(name="NVIDIA L4", memory_bytes=1, driver="1"),))
    assert hardware_of(replace(FOOTPRINT, environment=l4), asked(hardware="l4")) == "NVIDIA L4, A CPU"
    with pytest.raises(UsageError, match="never used for H100"):
        hardware_of(replace(FOOTPRINT, environment=l4), asked(hardware="H100"))
    unknown = replace(FOOTPRINT, environment=UNKNOWN)
    with pytest.raises(UsageError, match="do not say where"):
        hardware_of(unknown, asked())
    assert hardware_of(unknown, asked(hardware="H100")) == "H100 (as you say)"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "took up to 0.40 (10 %)"),
        ({"shared": False}, "a machine of its own"),
        ({"environment": UNKNOWN}, "not known"),
        ({"client_cores": ()}, "was not measured"),
    ],
)
def test_the_clients_share_is_stated(changes: dict, words: str) -> None:
    assert words in client_share_text(replace(FOOTPRINT, **changes))


LOG = """\
I1125 19:43:34.097411 12660 model_lifecycle.cc:472] "loading: a:1"
I1125 19:43:35.000000 12660 model_lifecycle.cc:839] "successfully loaded 'a'"
I1125 19:43:36.157980 12660 model_lifecycle.cc:839] "successfully loaded 'b'"
I1125 19:43:36.199685 12660 http_server.cc:4713] "Started HTTPService at 127.0.0.1:36615"
I1125 19:50:00.000000 12660 model_lifecycle.cc:472] "loading: a:1"
I1125 19:50:09.000000 12660 model_lifecycle.cc:839] "successfully loaded 'a'"
"""


def test_load_times_are_of_starts_and_not_of_reloads() -> None:
    assert load_times_s(LOG) == pytest.approx((2.060569,))
    assert load_times_s("") == ()
