"""What LoadGen makes of a run: its verdict with the reasons, its early-stopping test, and its figures.

In: the text of `mlperf_log_detail.txt`. Out: a LoadgenAccount. Which figures are which in the log is the importer's.
Whoever shows these values says LABEL beside them: no rules of submission, no review and no audit stand behind them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit.errors import ConfigurationError
from toolkit.load.importers.loadgen import LABEL, log_from_detail, results_from_detail
from toolkit.load.measurement import Distribution

DETAIL_FILE = "mlperf_log_detail.txt"

_CHECKS = {
    "result_perf_constraints_met": "the latency limit was not held",
    "result_min_duration_met": "it ended before its minimum duration",
    "result_min_queries_met": "it issued fewer than its minimum of queries",
    "early_stopping_met": "its early-stopping test needs more queries",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadgenAccount:
    """LoadGen's own account of one run.

    `latency` counts from when a query was scheduled: of queries in MultiStream, where all samples of one must be done,
    of samples elsewhere. `throughput_per_s` is of the same. `reasons` say why a run is INVALID; `early_stopping` are
    LoadGen's own words.
    """

    verdict: Literal["VALID", "INVALID"]
    reasons: tuple[str, ...]
    early_stopping: tuple[str, ...]
    latency: Distribution
    throughput_per_s: float
    label: str = LABEL


def read_account(path: Path) -> LoadgenAccount:
    """Read a detail log. Raises ConfigurationError for a file that is none, or of a run that did not end."""
    try:
        return account_from_detail(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as err:
        raise ConfigurationError(f"{path} cannot be read: {err.strerror}") from err
    except (KeyError, ValueError) as err:
        raise ConfigurationError(
            f"{path} is not the log of a LoadGen run that ended: {err} is missing or wrong"
        ) from err


def account_from_detail(text: str) -> LoadgenAccount:
    """The account in the text. Raises KeyError or ValueError where something is missing."""
    log = log_from_detail(text)
    verdict = log["result_validity"]
    measurement = results_from_detail(text).points[0].measurement
    return LoadgenAccount(
        verdict="VALID" if verdict == "VALID" else "INVALID",
        reasons=tuple(words for check, words in _CHECKS.items() if log.get(check) is False),
        early_stopping=_points(log.get("early_stopping_result")),
        latency=measurement.latency,
        throughput_per_s=measurement.throughput_per_s,
    )


def _points(text: str | None) -> tuple[str, ...]:
    """The points of a list that LoadGen wrote on one line."""
    return tuple(" ".join(point.split()) for point in f" {text or ''}".split(" * ") if point.strip())
