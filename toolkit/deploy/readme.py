"""The README of a compose bundle: what is applied and how, the figures with their mark, limits, alerts.

In: a DeploymentSpec. Out: Markdown. Of a GPU server of language models nothing was measured, and its README says so.
"""

from __future__ import annotations

from typing import Any

from toolkit.deploy.compose_service import service_of
from toolkit.deploy.contents import figures_mark
from toolkit.deploy.observed import alerts_of, is_watched_in
from toolkit.deploy.rendering import render
from toolkit.deploy.server import Llm
from toolkit.deploy.servers import SERVERS
from toolkit.deploy.spec import MIB, DeploymentSpec, Figures, StreamFigures
from toolkit.load.slo import criterion_text
from toolkit.tune.words import rate_text, target_text, time_text


def readme(spec: DeploymentSpec) -> str:
    """The text of README.md."""
    if spec.llm is None:
        return render("compose/README.md.j2", _values(spec) | {"recipe": spec.has_recipe})
    return render("compose/README-llm.md.j2", _values(spec) | llm_values(spec, spec.llm))


def llm_values(spec: DeploymentSpec, llm: Llm) -> dict[str, Any]:
    """What a language model's server needs said besides; `model` is what clients call it."""
    server = SERVERS[spec.server]
    return {
        "server": server.title,
        "source": server.source,
        "variable": service_of(spec).variable,
        "model": spec.model if server.has_repository else llm.served_name,
        "model_source": llm.source,
        "source_sha256": llm.source_sha256[:12],
        "has_repository": server.has_repository,
        "secrets": server.secrets,
        "limits": llm.limits,
        "start_s": server.start_s,
        "metrics": server.metrics_path,
        "is_dcgm": server.series is not None and server.series.gpu_used.startswith("DCGM"),
    }


def _values(spec: DeploymentSpec) -> dict[str, Any]:
    return {
        "title": spec.title,
        "name": spec.name,
        "model": spec.model,
        "run_id": spec.run_id,
        "toolkit_version": spec.toolkit_version,
        "device": "GPU" if spec.gpu else "CPU",
        "image": spec.image,
        "memory_mib": spec.memory_bytes // MIB,
        "shared_memory_mib": spec.shm_bytes // MIB,
        "slo": ",".join(map(criterion_text, spec.slo.criteria)),
        "criteria": tuple(map(target_text, spec.slo.criteria)),
        "not_alerted": tuple(target_text(c) for c in spec.slo.criteria if not is_watched_in(spec, c)),
        "alerts": alerts_of(spec),
        "figures": () if spec.figures is None else figure_rows(spec.figures),
        "mark": figures_mark(spec),
        "measured": spec.is_measured_on_target,
    }


def figure_rows(figures: Figures) -> tuple[tuple[str, str], ...]:
    """Label and value of each figure, for a README."""
    return (
        ("verdict", figures.outcome),
        ("load", figures.load),
        ("throughput", f"{rate_text(figures.throughput_per_s)} requests/s"),
        ("p99 latency", _time(figures.latency_p99_s)),
        *(() if figures.streams is None else _stream_rows(figures.streams)),
        ("server", figures.server),
        ("device", figures.device),
        ("machine", figures.environment),
    )


def _stream_rows(streams: StreamFigures) -> tuple[tuple[str, str], ...]:
    return (
        ("p99 time to first token", _time(streams.ttft_p99_s)),
        ("p99 time per output token", _time(streams.tpot_p99_s)),
        ("output", f"{rate_text(streams.tokens_per_s)} tokens/s"),
    )


def _time(seconds: float | None) -> str:
    return "not known" if seconds is None else time_text(seconds)
