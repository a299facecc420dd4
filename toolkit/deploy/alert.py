"""An alert as a value: its rule, and the series that must and must not fire it (promtool's rule tests).

Values and what several of them share; which alerts there are stands in alerts.py and burn.py.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The model that an alert is about, in Prometheus' template notation.
MODEL_LABEL = "{{ $labels.model }}"

#: Where the SLO does not limit errors: an assumption.
DEFAULT_ERROR_SHARE = 0.01

#: A model label for the rule tests of alerts that watch every model.
ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """An input series of a rule test, in promtool's notation `start+step x times`."""

    series: str
    values: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A Prometheus alerting rule. `labels` are those of the series that `breach` makes it fire for.

    `subject` is what the annotations say it is about, as a Prometheus template; `tested_subject` what that expands to.
    """

    name: str
    expression: str
    lasting: str
    severity: str
    subject: str
    tested_subject: str
    message: str
    labels: dict[str, str]
    breach: tuple[Series, ...]
    quiet: tuple[Series, ...]

    @property
    def summary(self) -> str:
        """The annotation as the rule has it."""
        return f"{self.subject}: {self.message}"

    @property
    def tested_summary(self) -> str:
        """The annotation as the rule test expects it."""
        return f"{self.tested_subject}: {self.message}"

    @property
    def tested_labels(self) -> dict[str, str]:
        """The labels that the rule test expects."""
        return {**self.labels, "severity": self.severity}


def model_alert(
    *,
    name: str,
    expression: str,
    lasting: str,
    severity: str,
    message: str,
    breach: tuple[Series, ...],
    quiet: tuple[Series, ...],
    label: str = "model",
) -> Alert:
    """An alert that watches every model on its own; `label` is what its series call the model."""
    return Alert(
        name=name,
        expression=expression,
        lasting=lasting,
        severity=severity,
        subject=f"{{{{ $labels.{label} }}}}",
        tested_subject=ANY,
        message=message,
        labels={label: ANY},
        breach=breach,
        quiet=quiet,
    )


def down(name: str, job: str) -> Alert:
    """The alert on a server that Prometheus scrapes as `job` and that does not answer."""
    up = f'up{{job="{job}"}}'
    return Alert(
        name=name,
        expression=f"max by (job) ({up}) == 0",
        lasting="1m",
        severity="critical",
        subject=job,
        tested_subject=job,
        message="the metrics endpoint has not answered for a minute",
        labels={"job": job},
        breach=(Series(series=up, values="0x40"),),
        quiet=(Series(series=up, values="1x40"),),
    )


def failing(share: float) -> tuple[Series, ...]:
    """A thousand requests per scrape of which `share` fail."""
    failed = round(1000 * share, 6)
    return counters(
        nv_inference_request_success=f"0+{1000 - failed:g}x40", nv_inference_request_failure=f"0+{failed:g}x40"
    )


def counters(**values: str) -> tuple[Series, ...]:
    """Series of one model by metric."""
    return tuple(Series(series=f'{metric}{{model="{ANY}"}}', values=value) for metric, value in values.items())
