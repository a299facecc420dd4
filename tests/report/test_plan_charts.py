"""The charts of a plan, a race and time shares, drawn by vl-convert: every name stands in them, and in their words."""

from __future__ import annotations

from toolkit.report.answers import BUCKETS, FIRST, GAP, best_configuration, bucket, commonest_batch, slowest_wait
from toolkit.report.charts import svg
from toolkit.report.race_chart import race_chart
from toolkit.report.share_chart import share_chart
from toolkit.tune.decision import Decision
from toolkit.tune.tuned import Standing, Tuned


def standing(name: str, rate_per_s: float | None) -> Standing:
    low, high = (None, None) if rate_per_s is None else (0.9 * rate_per_s, 1.1 * rate_per_s)
    return Standing(
        candidate=name, settings="", windows=3, spent_s=1.0, rate_per_s=rate_per_s, low=low, high=high, score=None,
        reason="",
    )  # fmt: skip


def race(*standings: Standing) -> Tuned:
    nothing = Decision(outcome="FAIL", sentence="", candidate=None, load=None, throughput_per_s=None, rejected=())
    return Tuned(
        decision=nothing, objective="throughput", method="race", standings=standings, trace=(), configurations=9,
        reloads=1, spent_s=5.0, budget_s=10.0, gain=None,
    )  # fmt: skip


def test_a_race_shows_the_fastest_first_and_leaves_out_what_has_no_rate() -> None:
    chart = race_chart(race(standing("slow", 100.0), standing("fast", 1200.0), standing("lost", None)))
    drawn = svg(chart)
    assert chart.description == (
        "3 of 9 configurations were tried; within the SLO: fast 1,200 requests/s; slow 100 requests/s."
    )
    assert drawn.index(">fast<") < drawn.index(">slow<") and ">lost<" not in drawn and ">1,200<" in drawn


def test_a_race_that_has_not_begun_can_be_drawn() -> None:
    assert "none yet" in svg(race_chart(race()))


def test_shares_are_percentages_of_each_window() -> None:
    chart = share_chart({"one client": {"queue": 0.25, "infer": 0.75}, "many": {}})
    assert chart.description == "Of the mean latency with one client: queue 25 %, infer 75 %."
    assert "Share of the mean latency (%)" in svg(chart)


def test_every_batch_size_has_a_bucket_and_nothing_measured_settles_nothing() -> None:
    assert [bucket(n) for n in (1, 2, 4, 5, 8, 9, 16, 17, 512)] == [
        "1", "2 to 4", "2 to 4", "5 to 8", "5 to 8", "9 to 16", "9 to 16", "more than 16", "more than 16",
    ]  # fmt: skip
    assert {bucket(n) for n in range(1, 40)} == {name for name, _ in BUCKETS}
    assert best_configuration(()).right == commonest_batch((), "net").right == ()


def test_the_longest_wait_is_named_with_both_figures() -> None:
    first = slowest_wait(0.030, (0.001, 0.006))
    assert first.right == (FIRST,) and first.said == "the first token took 30 ms, the longest gap 6 ms"
    assert slowest_wait(0.002, (0.001, 0.006)).right == (GAP,)
    assert slowest_wait(0.002, ()).right == (FIRST,)
