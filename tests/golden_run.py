"""What a PoC's deployment bundle is made from, cut out of a real run and committed as pocs/NAME/expected/deployment.

    python tests/golden_run.py RUN pocs/NAME && UPDATE_GOLDENS=1 python -m pytest tests/deploy/test_poc_goldens.py

The decision's figures and the chosen configurations are the run's. Model files are replaced by a line that names them,
the smoke request by a small one, and the run's id and the toolkit's version are fixed, so that goldens change only when
what is generated does.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.deploy import DeploymentSpec, Figures, SmokeGeneration, SmokeRequest
from toolkit.deploy.sizing import Sizing
from toolkit.export.parity import Tolerance
from toolkit.load.pattern import Load
from toolkit.load.slo import Slo
from toolkit.records import files_below, read_json, write_json, write_text
from toolkit.workflow.deploy import Deployment, deployment_spec

RUN_ID = "20260102T030405Z-abcdef01"
SPEC, REPOSITORY = "deployment.json", "repository"
#: Of an entry's files, those that a bundle reads; the others are the model.
READ = (".pbtxt", "requirements.txt")
SMOKE = SmokeRequest(
    inputs={"x": np.array([[1.0, 2.0]], np.float32)},
    expected={"y": np.array([[2.0, 4.0]], np.float32)},
    tolerance=Tolerance(absolute=1e-3, relative=1e-2),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """The fields of a DeploymentSpec that come from a run. `generation` is None where the smoke test is a request."""

    name: str
    title: str
    entries: tuple[str, ...]
    model: str
    slo: Slo
    figures: Figures | None
    sizing: Sizing
    load: Load | None
    memory_bytes: int
    requirements: tuple[str, ...]
    backends: tuple[str, ...]
    cpus: float
    generation: SmokeGeneration | None


def cut(run: Path, place: Path) -> None:
    """Write what the bundle of `run` is made from into `place`, which is replaced."""
    spec = deployment_spec(run, Deployment())
    shutil.rmtree(place, ignore_errors=True)
    fields = {name: getattr(spec, name) for name in Golden.__dataclass_fields__ if name != "generation"}
    generation = spec.smoke if isinstance(spec.smoke, SmokeGeneration) else None
    write_json(place / SPEC, Golden(**fields, generation=generation))
    for name in files_below(spec.repository):
        if not ("__pycache__" in name or name.startswith(".")):
            is_read = name.endswith(READ)
            text = (spec.repository / name).read_text(encoding="utf-8") if is_read else f"# This stands for {name}.\n"
            write_text(place / REPOSITORY / name, text)


def golden_spec(place: Path, target: str) -> DeploymentSpec:
    """The deployment that `cut` wrote into `place`, for a target."""
    golden = read_json(place / SPEC, Golden)
    fields = {name: getattr(golden, name) for name in Golden.__dataclass_fields__ if name != "generation"}
    return DeploymentSpec(
        **fields,
        repository=place / REPOSITORY,
        run_id=RUN_ID,
        smoke=golden.generation or SMOKE,
        target=target,  # type: ignore[arg-type]
        toolkit_version="0.0.0",
    )


if __name__ == "__main__":
    cut(Path(sys.argv[1]), Path(sys.argv[2]) / "expected" / "deployment")
