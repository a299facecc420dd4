"""What runs beside a deployment in its namespace: the smoke test, and the sweep that is compared with the run.

In: a DeploymentSpec. Out: what the templates of the two jobs print. This module does not know how the server runs.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from toolkit.deploy.contents import smoke_test_files
from toolkit.deploy.spec import DeploymentSpec
from toolkit.load.pattern import Concurrency, RequestRate
from toolkit.load.slo import criterion_text

#: A ConfigMap holds 1 MiB. Source: kubernetes.io/docs/concepts/configuration/configmap
CONFIG_MAP_BYTES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeValues:
    """The files of the smoke test by name: texts, and the others in base64."""

    texts: dict[str, str]
    binaries: dict[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Every file."""
        return (*self.texts, *self.binaries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """What the jobs ask. `url` is the address in the namespace; `workload` and `port` are what is forwarded."""

    kserve: bool
    url: str
    workload: str
    port: int
    smoke: SmokeValues | None
    load_test_image: str
    sweep_arguments: tuple[str, ...]


def jobs_of(spec: DeploymentSpec, name: str, tag: str, *, kserve: bool) -> Jobs:
    """The jobs beside the deployment of this name; KServe calls its service otherwise."""
    service, port = (f"{name}-predictor", 8080) if kserve else (name, 8000)
    # KServe's service of a predictor listens at port 80.
    url = f"http://{service}" if kserve else f"http://{service}:{port}"
    return Jobs(
        kserve=kserve,
        workload=f"deployment/{service}",
        port=port,
        url=url,
        smoke=smoke_values(spec),
        load_test_image=f"{spec.registry}/{name}-load-test:{tag}",
        sweep_arguments=sweep_arguments(spec, url),
    )


def smoke_values(spec: DeploymentSpec) -> SmokeValues | None:
    """The smoke test as a ConfigMap holds it; None where it does not, as with a request of large pictures."""
    files = {path.rpartition("/")[2]: content for path, content in smoke_test_files(spec).items()}
    texts = {name: content for name, content in files.items() if isinstance(content, str)}
    binaries = {name: base64.b64encode(c).decode() for name, c in files.items() if isinstance(c, bytes)}
    size = sum(len(text.encode()) for text in (*texts.values(), *binaries.values()))
    return SmokeValues(texts=texts, binaries=binaries) if size <= CONFIG_MAP_BYTES else None


def sweep_arguments(spec: DeploymentSpec, url: str) -> tuple[str, ...]:
    """What `toolkit sweep RUN` is given to ask the deployment what the run was asked: its load, and its SLO."""
    slo = ",".join(map(criterion_text, spec.slo.criteria))
    return ("--url", url, "--duration", "30s", *(("--slo", slo) if slo else ()), *_load_arguments(spec))


def _load_arguments(spec: DeploymentSpec) -> tuple[str, ...]:
    if isinstance(spec.load, Concurrency):
        return ("--concurrency", f"{spec.load.clients}")
    if isinstance(spec.load, RequestRate):
        return ("--rate", f"{spec.load.rate_per_s:g}", "--arrival", spec.load.arrival)
    return ()
