"""Everything that a trial of the load engine found, and what follows: findings, a verdict, a Certificate. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from toolkit.load.certify.accuracy import AccuracyPoint, Comparison, Quantity, judged
from toolkit.load.certify.honest_rate import MOST_CPU_SHARE, MOST_SEND_LAG_S, Ceiling, RateProbe
from toolkit.load.measurement import Certificate

#: A server that uses so much of a core is the limit itself.
BUSY_SHARE = 0.90
#: A machine with this load average had other work to do.
BUSY_LOAD = 1.0

Unit = Literal["1/s", "s", "share", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class StallCheck:
    """The p99 around a planted stall, in an open and in a closed loop; the log stands beside each."""

    stall_s: float
    open: Comparison
    closed: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the result. `value` and `bound` are in `unit`; a line without a bound is there to be known."""

    what: str
    value: float
    bound: float | None
    unit: Unit
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Certification:
    """Everything that one `toolkit certify` found, all rounds. `at` is UTC, ISO 8601; no rate passed when it is 0.

    `load_average` is that of the machine in the minute before.
    """

    at: str
    took_s: float
    load_average: float
    certified_rate_per_s: float
    ceiling: Ceiling
    probes: tuple[RateProbe, ...]
    points: tuple[AccuracyPoint, ...]
    stall: StallCheck

    @property
    def certified_probe(self) -> RateProbe | None:
        """The last probe that passed at the certified rate."""
        passed = [p for p in self.probes if p.rate_per_s == self.certified_rate_per_s and not p.limits]
        return passed[-1] if passed else None

    @property
    def limited_by(self) -> str:
        """What kept the rate from being higher, in words."""
        above = [p for p in self.probes if p.rate_per_s > self.certified_rate_per_s and p.limits]
        if not above:
            return "nothing: higher rates were not tried"
        nearest = min(above, key=lambda p: p.rate_per_s)
        server = " (the null server was busy itself)" if nearest.server_cpu_share >= BUSY_SHARE else ""
        return " and ".join(nearest.limits) + server

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Line by line, in the order in which they were found."""
        return (*_rate_findings(self), *_accuracy_findings(self.points), *_stall_findings(self.stall))

    @property
    def passed(self) -> bool:
        """Whether every line is within its bound."""
        return all(finding.ok for finding in self.findings)

    @property
    def remedy(self) -> str:
        """What to do about a verdict that is not the engine's fault; empty when nothing speaks for that."""
        if self.passed or self.load_average < BUSY_LOAD:
            return ""
        return f"the machine had other work (load average {self.load_average:.1f}): try again when it is idle"

    @property
    def certificate(self) -> Certificate:
        """What is kept with every measurement on this machine."""
        probe = self.certified_probe
        return Certificate(
            certified_rate_per_s=self.certified_rate_per_s,
            cpu_per_request_s=probe.cpu_per_request_s if probe else self.ceiling.cpu_per_request_s,
            send_lag_p99_s=probe.send_lag_p99_s if probe else 0.0,
            worst_error_s=max((abs(c.error_s) for c in judged(self.points).values()), default=0.0),
            passed=self.passed,
            at=self.at,
        )


def certificate_text(certificate: Certificate | None) -> str:
    """A certificate in one sentence, or how to get one."""
    if certificate is None:
        return "The load engine is not certified on this machine; run: toolkit certify"
    if not certificate.passed:
        return f"The load engine failed its certificate on this machine at {certificate.at}; see: toolkit certify"
    return (
        f"The load engine is certified up to {certificate.certified_rate_per_s:,.0f} requests/s on this machine, "
        f"at {certificate.at}"
    )


def _known(what: str, value: float, unit: Unit) -> Finding:
    return Finding(what=what, value=value, bound=None, unit=unit, ok=True)


def _at_most(bound: float, what: str, value: float, unit: Unit) -> Finding:
    return Finding(what=what, value=value, bound=bound, unit=unit, ok=value <= bound)


def _rate_findings(found: Certification) -> Iterator[Finding]:
    ceiling, rate, probe = found.ceiling, found.certified_rate_per_s, found.certified_probe
    yield _known(f"client and null server together, {ceiling.clients} clients", ceiling.answered_per_s, "1/s")
    yield _known("null server's share of a core at that", ceiling.server_cpu_share, "share")
    yield _known("null server's CPU per request at that", ceiling.server_cpu_per_request_s, "s")
    yield _known("client CPU per request at that", ceiling.cpu_per_request_s, "s")
    what = f"highest honest rate; above it: {found.limited_by}"
    yield Finding(what=what, value=rate, bound=None, unit="1/s", ok=probe is not None)
    if probe is not None:
        yield _at_most(MOST_SEND_LAG_S, "p99 of the send lag at that", probe.send_lag_p99_s, "s")
        yield _at_most(MOST_CPU_SHARE, "client's share of a core at that", probe.cpu_share, "share")
        yield _known("client CPU per request at that", probe.cpu_per_request_s, "s")


def _accuracy_findings(points: Sequence[AccuracyPoint]) -> Iterator[Finding]:
    worst: dict[tuple[str, Quantity], Comparison] = {}
    for (behaviour, _, quantity, _), found in judged(points).items():
        before = worst.get((behaviour, quantity), found)
        worst[behaviour, quantity] = max(before, found, key=lambda c: c.excess)
    for (behaviour, quantity), c in worst.items():
        what = f"{behaviour}: worst error of {quantity} (p{100 * c.q:g} of {c.true_s * 1e3:.3g} ms)"
        yield _at_most(c.bound_s, what, abs(c.error_s), "s")
    requests = sum(p.requests for p in points)
    late_s = median(p.server_late_p99_s for p in points) if points else 0.0
    yield _known("null server's own lateness, p99 (it is in the log)", late_s, "s")
    yield Finding(what="requests compared with the log", value=requests, bound=None, unit="", ok=requests > 0)
    yield _at_most(0, "of them failed", sum(p.failed for p in points), "")
    yield _at_most(0, "not found in the log", sum(p.unpaired for p in points), "")
    yield _at_most(0, "arrived or answered before they were sent", sum(p.acausal for p in points), "")


def _stall_findings(stall: StallCheck) -> Iterator[Finding]:
    text, half_s = f"stall of {stall.stall_s:g} s:", stall.stall_s / 2
    what = f"{text} p99 of the open loop, by the log"
    yield Finding(what=what, value=stall.open.true_s, bound=None, unit="s", ok=stall.open.true_s > half_s)
    yield _at_most(stall.open.bound_s, f"{text} error of the open loop's p99", abs(stall.open.error_s), "s")
    yield _at_most(half_s, f"{text} p99 of a closed loop, which hides it", stall.closed.measured_s, "s")
