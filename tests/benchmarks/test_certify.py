"""The load engine's certificate as the user gets it, and what the null server, its yardstick, costs itself."""

from __future__ import annotations

import pytest

from toolkit.environment import environment_here
from toolkit.load.certify.accuracy import judged
from toolkit.load.certify.trial import put_on_trial

pytestmark = pytest.mark.slow


def test_the_load_engine_is_certified() -> None:
    found = put_on_trial(say=print)
    print(f"\n{environment_here().summary()}; {found.took_s:.0f} s")
    print("| what | figure | at most | |")
    print("|---|---|---|---|")
    for line in found.findings:
        bound = "" if line.bound is None else f"{line.bound:.6g}"
        print(f"| {line.what} | {line.value:.6g} {line.unit} | {bound} | {'ok' if line.ok else 'FAIL'} |")
    print("\n| server, share of the rate | percentile | engine, ms | log, ms | error, us |")
    print("|---|---|---|---|---|")
    for (behaviour, share, quantity, q), c in judged(found.points).items():
        times = f"{c.measured_s * 1e3:.3f} | {c.true_s * 1e3:.3f} | {c.error_s * 1e6:+.0f}"
        print(f"| {behaviour}, {share:.0%} | {quantity} p{100 * q:g} | {times} |")
    ceiling = found.ceiling
    print(
        f"\nclosed loop of {ceiling.clients}: {ceiling.answered_per_s:,.0f}/s; CPU per request: "
        f"client {ceiling.cpu_per_request_s * 1e6:.1f} us, null server {ceiling.server_cpu_per_request_s * 1e6:.1f} us"
    )
    assert found.passed
    assert ceiling.server_cpu_per_request_s < 2 * ceiling.cpu_per_request_s
