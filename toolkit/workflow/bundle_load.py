"""The SLO test of a deployed bundle: its smoke request in an open loop at the recommended rate, judged by its SLO.

In: a bundle, its lock, where it listens. Out: a measurement with its verdicts, and how it compares with the run's
figures. It starts nothing. The load is one request, sent again and again: the bundle holds no other.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.deploy.lock import BundleLock
from toolkit.deploy.spec import Figures
from toolkit.errors import ServerTrouble, UsageError
from toolkit.load.certify.store import certificate_here
from toolkit.load.connection import WireProtocol
from toolkit.load.measurement import Measurement
from toolkit.load.pattern import RequestRate
from toolkit.load.sweep import measure_point
from toolkit.load.verdict import Outcome, Verdict, judge, overall
from toolkit.serve.server import Endpoint
from toolkit.serve.wire import infer_post, json_post
from toolkit.tune.words import rate_text, time_text

#: A closed loop's throughput is the most that the server gives. At 70 % of it, through the engine's own proxy on two
#: cores, the queue of a fast model comes and goes for so long that twenty seconds decide nothing; at 40 % they do.
SHARE_OF_CLOSED_LOOP = 0.4
#: A throughput that the SLO demands is offered with this to spare, or a server that keeps up would be undecided.
ABOVE_DEMANDED = 1.05


@dataclass(frozen=True, slots=True, kw_only=True)
class SloTest:
    """What came of the SLO test. `why_rate` says where the rate comes from."""

    rate_per_s: float
    why_rate: str
    measurement: Measurement
    verdicts: tuple[Verdict, ...]
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A rate to test at, requests per second, and where it comes from. Raises UsageError for one that is none."""

    per_s: float
    source: str

    def __post_init__(self) -> None:
        if not 0 < self.per_s < math.inf:
            raise UsageError(f"{self.per_s:g} requests/s is not a rate", mend="give one above 0: --rate 100")


def recommended_rate(lock: BundleLock) -> Rate | None:
    """The rate that the run's figures recommend; None where the run chose nothing."""
    if lock.figures is None:
        return None
    measured = lock.figures.throughput_per_s
    if lock.figures.load.startswith("concurrency"):
        source = f"{100 * SHARE_OF_CLOSED_LOOP:.0f} % of the {rate_text(measured)}/s of {lock.figures.load} in the run"
        rate = Rate(per_s=SHARE_OF_CLOSED_LOOP * measured, source=source)
    else:
        rate = Rate(per_s=measured, source=f"what {lock.figures.load} of the run reached")
    demanded = max((c.limit for c in lock.slo.criteria if c.metric == "throughput"), default=0.0) * ABOVE_DEMANDED
    return rate if rate.per_s >= demanded else Rate(per_s=demanded, source="what the SLO demands, and 5 %")


def smoke_request(bundle: Path, model: str) -> tuple[bytes, WireProtocol]:
    """The bundle's smoke request as the load engine sends it: tensors, or a generation that is streamed."""
    expectation: dict[str, Any] = json.loads((bundle / "smoke" / "expected.json").read_text(encoding="utf-8"))
    if "outputs" not in expectation:
        payload = json.loads((bundle / "smoke" / "request.json").read_text(encoding="utf-8"))
        return json_post(expectation["path"], payload, host="localhost"), "sse"
    body = (bundle / "smoke" / "request.bin").read_bytes()
    return infer_post(model, expectation["header_length"], body, host="localhost"), "http"


def slo_test(bundle: Path, lock: BundleLock, endpoint: Endpoint, rate: Rate, duration_s: float) -> SloTest:
    """Drive the load and judge it. Raises ServerTrouble when the server is gone, KeyboardInterrupt after Ctrl-C."""
    request, protocol = smoke_request(bundle, lock.model)
    load = RequestRate(rate_per_s=rate.per_s, duration_s=duration_s, warmup_s=min(2.0, duration_s / 4))
    measurement, records = measure_point(
        endpoint, lock.model, (lock.model,), (request,), load, protocol=protocol, certificate=certificate_here()
    )
    if records.ended == "interrupted":
        raise KeyboardInterrupt
    if records.ended != "complete":
        raise ServerTrouble(
            f"the server at {endpoint.http} is gone after {len(records.status)} requests of the SLO test",
            mend="give it more memory in compose/docker-compose.yaml, or ask for less: --rate",
        )
    verdicts = judge(lock.slo, measurement, records)
    return SloTest(
        rate_per_s=rate.per_s,
        why_rate=rate.source,
        measurement=measurement,
        verdicts=verdicts,
        outcome=overall(verdicts, measurement),
    )


def compared(test: SloTest, figures: Figures, environment: str, image: str) -> str:
    """The figures of here beside those of the run, and whether they may be compared at all."""
    here = f"here {rate_text(test.measurement.throughput_per_s)}/s of {rate_text(test.rate_per_s)}/s offered"
    here += f" at p99 {time_text(test.measurement.latency.at(0.99).value_s)}"
    tail = "" if figures.latency_p99_s is None else f" at p99 {time_text(figures.latency_p99_s)}"
    there = f"in the run {rate_text(figures.throughput_per_s)}/s{tail} under {figures.load}"
    different = [] if figures.environment == environment else [f"another machine ({figures.environment})"]
    different += [] if figures.server == image else [f"another server ({figures.server})"]
    return f"{here}; {there}" + (f"; it was {' and '.join(different)}" if different else "")
