"""A small model repository and the DeploymentSpec made from it, with nothing that depends on time or machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.deploy import DeploymentSpec, Figures, SmokeGeneration, SmokeRequest
from toolkit.deploy.server import Limits, Llm
from toolkit.deploy.servers import SERVERS
from toolkit.deploy.spec import MIB, slug_of
from toolkit.export.parity import Tolerance
from toolkit.load.slo import Criterion, Slo, slo_from_text

CONFIG = """\
name: "{name}"
backend: "onnxruntime"
max_batch_size: 8
input {{ name: "x" data_type: TYPE_FP32 dims: [ 2 ] }}
output {{ name: "y" data_type: TYPE_FP32 dims: [ 2 ] }}
"""


def write_entry(repository: Path, name: str) -> None:
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    escaped = "".join(c if c.isascii() and c.isalnum() else "".join(f"\\{b:03o}" for b in c.encode()) for c in name)
    (folder / "config.pbtxt").write_text(CONFIG.format(name=escaped), encoding="utf-8")
    (folder / "1" / "model.onnx").write_bytes(b"weights of a very small model")


@pytest.fixture
def make_spec(make_spec_of: Callable[..., DeploymentSpec], tmp_path: Path) -> Callable[..., DeploymentSpec]:
    """`make_spec_of` in a repository of the test's own."""
    return partial(make_spec_of, tmp_path / "repository")


@pytest.fixture(scope="session")
def make_spec_of() -> Callable[..., DeploymentSpec]:
    """A function that makes the spec of a repository, with one entry if it has none; keywords replace fields."""

    def make(repository: Path, **fields: Any) -> DeploymentSpec:
        model = fields.setdefault("model", "digits")
        if not (repository / model).exists():
            write_entry(repository, model)
        defaults: dict[str, Any] = {
            "name": "vision",
            "title": "Digits",
            "repository": repository,
            "entries": (model,),
            "run_id": "20260102T030405Z-abcdef",
            "slo": Slo(
                criteria=(
                    Criterion(metric="latency", statistic="p99", limit=0.02),
                    Criterion(metric="throughput", statistic="mean", limit=100.0),
                )
            ),
            "figures": Figures(
                throughput_per_s=123.4,
                latency_p99_s=0.0182,
                load="8 concurrent clients",
                outcome="PASS",
                environment="a laptop, 8 cores, 16 GiB, no GPU",
                device="CPU",
                server="embedded Triton 2.51.0",
            ),
            "smoke": SmokeRequest(
                inputs={"x": np.array([[1.0, 2.0]], np.float32)},
                expected={"y": np.array([[2.0, 4.0]], np.float32)},
                tolerance=Tolerance(absolute=1e-5, relative=1e-4),
            ),
            "memory_bytes": 4096 * MIB,
            "toolkit_version": "0.0.0",
        }
        return DeploymentSpec(**(defaults | fields))

    return make


@pytest.fixture
def make_llm(make_llm_of: Callable[..., DeploymentSpec], tmp_path: Path) -> Callable[..., DeploymentSpec]:
    """`make_llm_of` in a repository of the test's own."""
    return partial(make_llm_of, tmp_path / "repository")


@pytest.fixture(scope="session")
def make_llm_of(make_spec_of: Callable[..., DeploymentSpec]) -> Callable[..., DeploymentSpec]:
    """The spec of a language model's server; keywords replace fields."""

    def make(repository: Path, server: str, **fields: Any) -> DeploymentSpec:
        found = SERVERS[server]
        model = fields.setdefault("model", "acme")
        defaults: dict[str, Any] = {
            "server": server,
            "image": found.image or found.image_example,
            "entries": (model,) if found.has_repository else (),
            "gpu": True,
            "slo": slo_from_text("ttft=300ms,tpot=40ms,itl.p99=60ms,latency.p95=4s,errors=0.5%"),
            "memory_bytes": 2**35,
            "smoke": SmokeGeneration(
                path="/v1/completions", request={"model": model}, token_ids=(1, 2), text="and so on"
            ),
            "llm": Llm(
                served_name=slug_of(model),
                source="acme-7b",
                source_sha256="0" * 64,
                weight_bytes=2**33,
                limits=Limits(tokens=4096, sequences=64, devices=2, accelerator="L4", arithmetic=("2 x 2 = 4",)),
            ),
        }
        return make_spec_of(repository, **(defaults | fields))

    return make
