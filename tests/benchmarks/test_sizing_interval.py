"""How often the sizing interval holds on a real server: Poisson loads between measured ones, on an embedded Triton.

    make benchmark, or: python -m pytest tests/benchmarks/test_sizing_interval.py -m slow -s

The same is asked of 66 points on a simulated clock in tests/size/test_curve.py. A machine that others use at the same
time fails this, and rightly so: its latencies are not those of the loads that the curve was made from.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from tiny_poc import write_poc

from toolkit.load.measurement import Measurement
from toolkit.load.pattern import Concurrency, Load, RequestRate
from toolkit.load.sweep import measure_point
from toolkit.poc import read_poc
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.server import Endpoint
from toolkit.size.curve import curve_of
from toolkit.size.queue_fit import chain_of
from toolkit.tune.decision import Candidate
from toolkit.workflow.requests import read_requests
from toolkit.workflow.run import run_poc
from toolkit.workflow.served import configs_of, served_of

pytestmark = [pytest.mark.slow, pytest.mark.timing, pytest.mark.timeout(3600)]
HELD_OUT = int(os.environ.get("SIZING_POINTS", "60"))
DURATION_S = float(os.environ.get("SIZING_SECONDS", "4"))
#: Shares of what a closed loop reaches. Held-out loads lie in between.
MEASURED = (0.15, 0.3, 0.45, 0.6)


def test_the_nominal_95_percent_interval_holds_the_measured_p99(tmp_path: Path) -> None:
    folder = write_poc(tmp_path / "pocs" / "tiny", loads=1)
    run, _ = run_poc(read_poc(folder), command="benchmark", root=tmp_path / "runs")
    requests = read_requests(run / "requests")
    served = served_of(configs_of(run, Candidate(name="", config={})))

    def measured(endpoint: Endpoint, load: Load) -> Measurement:
        return measure_point(endpoint, "net", ("net",), requests, load)[0]

    def at_rate(endpoint: Endpoint, rate: float, seed: int) -> Measurement:
        load = RequestRate(rate_per_s=round(rate, 3), duration_s=DURATION_S, warmup_s=0.5, seed=seed)
        return measured(endpoint, load)

    inside, asked, said = 0, 0, []
    with serve_embedded(run / "repository") as server:
        most = measured(server.endpoint, Concurrency(clients=8, duration_s=DURATION_S)).throughput_per_s
        points = [at_rate(server.endpoint, share * most, i) for i, share in enumerate(MEASURED)]
        curve = curve_of(points, chain_of(points, served), 0.99)
        for number, share in enumerate(np.linspace(MEASURED[0] + 0.02, MEASURED[-1] - 0.02, HELD_OUT)):
            found = at_rate(server.endpoint, float(share) * most, 100 + number)
            if not found.is_valid:
                continue
            predicted, seen_s = curve.at(float(share) * most), found.latency.at(0.99).value_s
            asked, inside = asked + 1, inside + (predicted.low <= seen_s <= predicted.high)
            ends = " to ".join(f"{1e3 * end:.2f}" for end in (predicted.low, predicted.high))
            said.append(f"{float(share) * most:8.0f}/s  p99 {1e3 * seen_s:7.2f} ms  interval {ends} ms")
    print("\n".join([*said, f"{inside} of {asked} within"]))
    assert asked >= 0.9 * HELD_OUT
    assert inside >= 0.9 * asked
