"""Settings: what was measured on the target is used and named; anything else is a default that says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from toolkit.deploy import DeploymentSpec
from toolkit.deploy.sizing import NOT_MEASURED, Settings, Sizing, settings_of
from toolkit.deploy.spec import MIB, TRITON_IMAGE
from toolkit.load.slo import Slo

Make = Callable[..., DeploymentSpec]
SIZING = Sizing(
    run_id="R1", queue_us=4321.4, load_s=20.0, resident_bytes=1000 * MIB, replicas=7, planned_rate_per_s=5000.0
)


def on_target(make_spec: Make, **fields: Any) -> DeploymentSpec:
    spec = make_spec(**fields)
    assert spec.figures is not None
    return replace(spec, figures=replace(spec.figures, server=TRITON_IMAGE))


def values(settings: Settings) -> dict[str, int]:
    return {name: getattr(settings, name).value for name in Settings.__slots__}


def test_what_was_measured_on_the_target_is_used_and_names_its_run(make_spec: Make) -> None:
    settings = settings_of(on_target(make_spec, sizing=SIZING))
    assert values(settings) == {
        "replicas": 7,
        "most_replicas": 14,
        "startup_s": 100,
        "memory_bytes": (1500 + 1024) * MIB,
        "shm_bytes": 1024 * MIB,
        "queue_us": 4321,
    }
    for name in ("replicas", "startup_s", "memory_bytes", "queue_us"):
        note = getattr(settings, name).note
        assert "run R1" in note and NOT_MEASURED not in note


def test_what_was_measured_elsewhere_is_not_used(make_spec: Make) -> None:
    elsewhere, nowhere = settings_of(make_spec(sizing=SIZING)), settings_of(make_spec())
    assert elsewhere == nowhere
    assert values(nowhere) == {
        "replicas": 2,
        "most_replicas": 4,
        "startup_s": 600,
        "memory_bytes": 4096 * MIB,
        "shm_bytes": 1024 * MIB,
        "queue_us": 2000,  # a tenth of the 20 ms of the SLO
    }
    for name in ("replicas", "startup_s", "memory_bytes", "shm_bytes", "queue_us"):
        assert NOT_MEASURED in getattr(nowhere, name).note


@pytest.mark.parametrize(
    ("sizing", "name", "value"),
    [
        (replace(SIZING, queue_us=3.0), "queue_us", 500),
        (replace(SIZING, load_s=0.4), "startup_s", 60),
        (replace(SIZING, load_s=None), "startup_s", 600),
        (replace(SIZING, resident_bytes=None), "memory_bytes", 4096 * MIB),
        (replace(SIZING, replicas=None), "replicas", 2),
    ],
)
def test_too_small_figures_and_missing_ones(make_spec: Make, sizing: Sizing, name: str, value: int) -> None:
    assert getattr(settings_of(on_target(make_spec, sizing=sizing)), name).value == value


def test_without_a_latency_limit_the_queue_is_an_assumption(make_spec: Make) -> None:
    assert settings_of(make_spec(slo=Slo(criteria=()))).queue_us.value == 10_000
