"""`toolkit doctor`: what is here, what is missing, and the command that mends it. Reads only; starts nothing."""

from __future__ import annotations

import platform
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit.environment import environment_here, package_version
from toolkit.errors import ToolkitError
from toolkit.extras import EXTRA_OF

State = Literal["ok", "optional", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding. `missing` stops something that the demo needs; `optional` only something beyond it."""

    name: str
    state: State
    found: str
    mend: str = ""


def examine() -> tuple[Check, ...]:
    """Every check, in the order in which a newcomer would mend them."""
    checks: tuple[Callable[[], Check], ...] = (
        _python,
        _numpy,
        _onnxruntime,
        _triton,
        lambda: _package("torch", "PyTorch models", "missing"),
        lambda: _package("PIL", "image requests", "missing", distribution="pillow"),
        lambda: _package("altair", "charts of the report", "missing"),
        lambda: _package("vl_convert", "charts of the report", "missing", distribution="vl-convert-python"),
        lambda: _package("sklearn", "the digits of pocs/vision", "optional", distribution="scikit-learn"),
        lambda: _package("transformers", "Hugging Face models", "optional"),
        lambda: _package("jupyterlab", "notebooks", "optional"),
        lambda: _package("mlperf_loadgen", "MLPerf scenarios", "optional", distribution="mlcommons-loadgen"),
        _perf_analyzer,
        _priority,
        _gpu,
        _docker,
        _chromium,
        _ports,
        _disk,
    )
    return tuple(check() for check in checks)


def _python() -> Check:
    version, system = platform.python_version(), f"{platform.system()} {platform.machine()}"
    if platform.system() != "Linux":
        return Check(name="system", state="optional", found=f"{system}: remote servers only", mend="use Linux or WSL 2")
    known = sys.version_info[:2] in ((3, 11), (3, 12))
    state: State = "ok" if known else "missing"
    return Check(
        name="Python", state=state, found=f"{version} on {system}", mend="" if known else "use Python 3.11 or 3.12"
    )


def _numpy() -> Check:
    version = package_version("numpy")
    if version.startswith("1."):
        return Check(name="numpy", state="ok", found=version)
    found = f"{version or 'not installed'}; the embedded server needs numpy below 2 (triton server#7391)"
    return Check(name="numpy", state="missing", found=found, mend="pip install 'numpy<2'")


def _onnxruntime() -> Check:
    cpu, gpu = package_version("onnxruntime"), package_version("onnxruntime-gpu")
    if cpu and gpu:
        mend = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'poc-toolkit[gpu]'"
        found = f"onnxruntime {cpu} and onnxruntime-gpu {gpu} share one folder; the CPU one wins"
        return Check(name="onnxruntime", state="missing", found=found, mend=mend)
    if not (cpu or gpu):
        extra = "gpu" if environment_here().gpus else "cpu"
        return Check(
            name="onnxruntime", state="missing", found="not installed", mend=f"pip install 'poc-toolkit[{extra}]'"
        )
    return Check(name="onnxruntime", state="ok", found=f"onnxruntime-gpu {gpu}" if gpu else f"onnxruntime {cpu}")


def _triton() -> Check:
    from toolkit.serve.embedded import problems

    found = problems()
    if found:
        return Check(name="embedded Triton", state="missing", found=found[0].message, mend=found[0].mend)
    return Check(name="embedded Triton", state="ok", found=f"nvidia-pytriton {package_version('nvidia-pytriton')}")


def _package(module: str, what: str, absent: State, *, distribution: str = "") -> Check:
    name = distribution or module
    version = package_version(name)
    if version:
        return Check(name=name, state="ok", found=version)
    extra = EXTRA_OF.get(module, "workshop")
    return Check(name=name, state=absent, found=f"not installed ({what})", mend=f"pip install 'poc-toolkit[{extra}]'")


def _gpu() -> Check:
    gpus = environment_here().gpus
    if gpus:
        return Check(name="GPU", state="ok", found=", ".join(g.name for g in gpus))
    if shutil.which("nvidia-smi"):
        mend = "pip install 'poc-toolkit[gpu]'"
        return Check(name="GPU", state="optional", found="nvidia-smi is here, but NVML sees no GPU", mend=mend)
    return Check(name="GPU", state="optional", found="none; figures will be CPU figures and say so")


def _perf_analyzer() -> Check:
    path = shutil.which("perf_analyzer")
    if path:
        return Check(name="perf_analyzer", state="ok", found=path)
    mend = "pip install perf-analyzer (glibc 2.38 or newer), or take it from the Triton SDK image"
    return Check(name="perf_analyzer", state="optional", found="none (a second opinion on closed loops)", mend=mend)


def _priority() -> Check:
    from toolkit.load.engine.process import ahead_of_others

    with ahead_of_others() as is_ahead:
        found = "real-time: what else the machine does cannot make it late" if is_ahead else "that of every process"
    mend = "" if is_ahead else "root, or: setcap cap_sys_nice+ep on the interpreter; and more than one core"
    return Check(name="load priority", state="ok" if is_ahead else "optional", found=found, mend=mend)


def _docker() -> Check:
    from toolkit.serve.docker_engine import connect, left_containers

    if not shutil.which("docker"):
        return Check(name="docker", state="optional", found="not installed (deployment bundles are not tried here)")
    try:
        left = left_containers(connect())
    except ToolkitError as err:
        return Check(name="docker", state="optional", found=err.message, mend=err.mend)
    if left:
        found = f"left by processes that are gone: {', '.join(c.name for c in left)}"
        mend = f"docker rm --force {' '.join(c.id for c in left)}"
        return Check(name="docker", state="optional", found=found, mend=mend)
    return Check(name="docker", state="ok", found="the engine answers, and holds nothing of ours")


def _chromium() -> Check:
    path = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
    if path:
        return Check(name="chromium", state="ok", found=path)
    return Check(
        name="chromium", state="optional", found="none (report as PDF, browser tests)", mend="apt-get install chromium"
    )


def _ports() -> Check:
    busy = []
    for port in (8000, 8001, 8002):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                busy.append(port)
    if not busy:
        return Check(name="ports", state="ok", found="8000, 8001 and 8002 are free")
    found = f"in use: {', '.join(map(str, busy))}; `toolkit serve` takes those by default, `toolkit run` any free ones"
    return Check(name="ports", state="optional", found=found, mend="toolkit serve --http-port P --grpc-port P")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    state: State = "ok" if free > 2 * 2**30 else "missing"
    return Check(
        name="disk", state=state, found=f"{free / 2**30:.0f} GiB free here", mend="" if state == "ok" else "free 2 GiB"
    )
