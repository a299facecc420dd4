"""What the embedded server needs of this machine and this Python, each need with the command that mends it.

In: nothing. Out: errors as values, so that `doctor` lists them all and `serve_embedded` raises the first.
"""

from __future__ import annotations

import ctypes
import platform
import shutil
import sys
import sysconfig
from importlib import util
from pathlib import Path

from toolkit.environment import package_version
from toolkit.errors import EnvironmentProblem, MissingDependency, ToolkitError

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
#: numpy 1.26 has wheels up to 3.12, the toolkit starts at 3.11.
PYTHONS = ("3.11", "3.12")
MACHINES = ("x86_64", "aarch64")


def problems() -> tuple[ToolkitError, ...]:
    """Why the embedded server cannot run here, each with its mend; empty when it can."""
    system = _system()
    if system is not None:
        return (system,)
    checks = (_python, _libpython, _bash, _pytriton, _onnxruntime, _numpy)
    return tuple(problem for check in checks if (problem := check()) is not None)


def wheel_folder() -> Path:
    """The folder of nvidia-pytriton with tritonserver, backends, caches and stubs. Raises MissingDependency."""
    # Found, not imported: pytriton's modules take half a second and are of no use here.
    spec = util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency(
            "the Python package 'nvidia-pytriton' is not installed", mend="pip install 'poc-toolkit[embedded]'"
        )
    return Path(spec.submodule_search_locations[0]) / "tritonserver"


def library_path(wheel: Path) -> str:
    """LD_LIBRARY_PATH of the server: the wheel's own libraries, then the folder of this Python's libpython."""
    return f"{wheel.parents[1] / 'nvidia_pytriton.libs'}:{sysconfig.get_config_var('LIBDIR')}"


def _system() -> ToolkitError | None:
    if platform.system() == "Linux" and platform.machine() in MACHINES:
        return None
    return EnvironmentProblem(
        f"the embedded server runs on Linux x86-64 and arm64; this is {platform.system()} {platform.machine()}",
        mend="measure a server elsewhere: --url http://host:port",
    )


def _python() -> ToolkitError | None:
    if PYTHON in PYTHONS:
        return None
    return EnvironmentProblem(
        f"the embedded server needs Python {' or '.join(PYTHONS)}; this is {PYTHON}",
        mend=f"make the virtual environment with python{PYTHONS[-1]}",
    )


def _libpython() -> ToolkitError | None:
    name = f"libpython{PYTHON}.so.1.0"
    for library in (f"{sysconfig.get_config_var('LIBDIR')}/{name}", name):
        try:
            ctypes.CDLL(library)
        except OSError:
            continue
        return None
    return MissingDependency(
        f"{name}, which Triton's Python stub is linked against, is not installed",
        mend=f"sudo apt-get install libpython{PYTHON}",
    )


def _bash() -> ToolkitError | None:
    if shutil.which("bash"):
        return None
    return MissingDependency("bash, which Triton starts its stubs with, is absent", mend="sudo apt-get install bash")


def _pytriton() -> ToolkitError | None:
    try:
        wheel_folder()
    except MissingDependency as err:
        return err
    return None


def _onnxruntime() -> ToolkitError | None:
    if util.find_spec("onnxruntime"):
        return None
    return MissingDependency("the Python package 'onnxruntime' is not installed", mend="pip install 'poc-toolkit[cpu]'")


def _numpy() -> ToolkitError | None:
    version = package_version("numpy")
    if version.startswith(("0.", "1.")):
        return None
    return EnvironmentProblem(
        f"numpy is {version or 'absent'}; with numpy 2 Triton's Python stub gives wrong tensors "
        "(triton-inference-server/server#7391)",
        mend="pip install 'numpy>=1.26,<2'",
    )
