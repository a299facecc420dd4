"""LoadGen's account of its runs: the importers' logs, one of each scenario, as LoadGen 6.0.17 wrote them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from toolkit.errors import ConfigurationError
from toolkit.load.importers.loadgen import LABEL
from toolkit.load.loadgen_account import DETAIL_FILE, LoadgenAccount, account_from_detail, read_account

DATA = Path(__file__).parent / "importers" / "data" / "loadgen"


def account(scenario: str) -> LoadgenAccount:
    return read_account(DATA / scenario / DETAIL_FILE)


def test_a_server_run_with_too_few_queries() -> None:
    found = account("server")
    assert (found.verdict, found.label) == ("INVALID", LABEL)
    assert found.reasons == ("its early-stopping test needs more queries",)
    assert found.early_stopping == (
        "Run unsuccessful.",
        "Processed 288 queries.",
        "Would need to run at least 550 more queries, with the run being successful if every additional query were "
        "under latency.",
    )
    assert found.throughput_per_s == pytest.approx(188.452)
    assert (found.latency.count, found.latency.at(0.99).value_s) == (288, pytest.approx(0.012712936))


def test_every_reason_is_told() -> None:
    """As LoadGen logs a check that is not met: the same lines with `false`."""
    text = re.sub('(_met", "value": )true', r"\1false", (DATA / "server" / DETAIL_FILE).read_text())
    assert [reason.split()[0] for reason in account_from_detail(text).reasons] == ["the", "it", "it", "its"]


@pytest.mark.parametrize(
    ("scenario", "verdict", "throughput_per_s", "reasons", "early_stopping"),
    [
        ("single_stream", "VALID", 456.357, (), 4),
        ("multi_stream", "VALID", 443.85, (), 3),
        ("offline", "INVALID", 4966.09, ("it ended before its minimum duration",), 0),
    ],
)
def test_the_other_scenarios(
    scenario: str, verdict: str, throughput_per_s: float, reasons: tuple[str, ...], early_stopping: int
) -> None:
    found = account(scenario)
    assert (found.verdict, found.reasons, len(found.early_stopping)) == (verdict, reasons, early_stopping)
    assert found.throughput_per_s == pytest.approx(throughput_per_s, rel=0.01)


def test_multi_stream_tells_of_queries_not_of_samples() -> None:
    """LoadGen logs both; the figures of a query are those of its last sample."""
    text = (DATA / "multi_stream" / DETAIL_FILE).read_text()
    before, key, after = text.partition('result_50.00_percentile_per_query_latency_ns", "value": ')
    later = account_from_detail(f"{before}{key}9{after}").latency.at(0.5).value_s
    assert later > 10 * account_from_detail(text).latency.at(0.5).value_s


def test_what_is_no_log_of_a_run_that_ended(tmp_path: Path) -> None:
    whole = (DATA / "server" / DETAIL_FILE).read_text()
    for name, text in (("cut", whole[: whole.index('"key": "result_validity"')]), ("empty", ""), ("half", whole[:-30])):
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigurationError, match="is not the log of a LoadGen run that ended"):
            read_account(tmp_path / name)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_account(tmp_path / "absent")
