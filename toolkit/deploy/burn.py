"""Alerts on an SLO whose budget is used up too fast, though no single moment is bad enough for the other alerts.

In: limits of the SLO. Out: Alerts.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.deploy.alert import MODEL_LABEL, Alert, Series, failing, model_alert
from toolkit.deploy.metrics import promql_text, ratio
from toolkit.load.slo import Criterion

#: The quantiles that Triton's request summary keeps, by the SLO's word for them.
SUMMARY_QUANTILES = {"p50": "0.5", "p90": "0.9", "p95": "0.95", "p99": "0.99", "p99.9": "0.999"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """A pace at which an error budget is used: so many times too fast, seen over both windows."""

    name: str
    factor: float
    short: str
    long: str
    severity: str

    def share(self, budget: float) -> float:
        """The share of requests beyond `budget` at which this pace is reached: never more than any traffic can have."""
        return min(self.factor * budget, _MOST_SHARE)


#: The paces that wake somebody and that open a ticket, for a budget of 30 days.
#: Source: sre.google/workbook/alerting-on-slos, multiwindow, multi-burn-rate alerts (table 5-8).
BURNS = (
    Burn(name="Fast", factor=14.4, short="5m", long="1h", severity="critical"),
    Burn(name="Slow", factor=6.0, short="30m", long="6h", severity="warning"),
)
#: A budget of many percent, times a burn rate, would be more than all requests.
_MOST_SHARE = 0.9
#: The share of an hour in which a percentile may be beyond its limit. An assumption: an SLO does not say.
_LATE_SHARE = 0.1


def error_burns(limit: float) -> tuple[Alert, ...]:
    """A fast and a slow one; `limit` is the share of requests that may fail."""
    return tuple(_error_burn(limit, burn) for burn in BURNS)


def _error_burn(limit: float, burn: Burn) -> Alert:
    share = burn.share(limit)
    over = " and ".join(f"{_failed_share(window)} > {share:.4g}" for window in (burn.short, burn.long))
    pace = f"{burn.factor:g} times too fast, over {burn.short} and {burn.long}"
    return model_alert(
        name=f"TritonErrorBudgetBurn{burn.name}",
        expression=over,
        lasting="2m",
        severity=burn.severity,
        message=f"errors use up the budget of {100 * limit:g} % {pace}",
        breach=failing((1 + share) / 2),
        quiet=failing(share / 2),
    )


def _failed_share(window: str) -> str:
    failed, answered = (
        f"sum by (model) (rate(nv_inference_request_{end}[{window}]))" for end in ("failure", "success")
    )
    return ratio(failed, f"({failed} + {answered})")


def summary_series(model: str, criterion: Criterion) -> str:
    """The percentile of a criterion as the server has it."""
    quantile = SUMMARY_QUANTILES[criterion.statistic]
    return f'nv_inference_request_summary_us{{model={promql_text(model)},quantile="{quantile}"}}'


def latency_name(criterion: Criterion) -> str:
    """The name of the alerts on a percentile."""
    return "TritonLatency" + criterion.statistic.capitalize().replace(".", "")


def latency_burn(model: str, criterion: Criterion) -> Alert:
    """The limit missed again and again, each time for less than the alert above waits."""
    limit_us, series = round(criterion.limit * 1e6), summary_series(model, criterion)
    return Alert(
        name=f"{latency_name(criterion)}Burn",
        expression=f"avg_over_time((max by (model) ({series}) > bool {limit_us})[1h:1m]) > {_LATE_SHARE:g}",
        lasting="2m",
        severity="warning",
        subject=MODEL_LABEL,
        tested_subject=model,
        message=f"{criterion.statistic} exceeded the SLO's {limit_us} us in over {100 * _LATE_SHARE:g} % of an hour",
        labels={"model": model},
        breach=(Series(series=series, values=f"{limit_us + 1}x40"),),
        quiet=(Series(series=series, values=f"{limit_us}x40"),),
    )
