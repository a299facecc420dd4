"""The backend directory of the embedded server: the wheel's python backend with the stub of this Python, and ours.

It is assembled once in a cache folder, named by what it was made from, and renamed into place as the last act: two
processes that assemble it at the same time both end with a whole one.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from toolkit.environment import cache_folder, package_version
from toolkit.records import digest_of_files, files_below, writing
from toolkit.serve.prerequisites import PYTHON

OURS = Path(__file__).parent / "backends"


def backend_directory(wheel: Path) -> Path:
    """The assembled folder, made when it is not there yet. Raises EnvironmentProblem when it cannot be written."""
    names = [name for name in files_below(OURS) if name.endswith(".py") and "/" in name]
    key = f"{package_version('nvidia-pytriton')}-{PYTHON}-{digest_of_files(OURS, names)[:16]}"
    place = cache_folder() / "backends" / key
    if place.is_dir():
        return place
    with writing(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".partial-", dir=place.parent))
        try:
            _assemble(wheel, names, work)
            work.rename(place)
        except OSError:
            # Another process was first: renaming onto a folder that holds files fails.
            if not place.is_dir():
                raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return place


def _assemble(wheel: Path, names: list[str], work: Path) -> None:
    shutil.copytree(wheel / "backends" / "python", work / "python", ignore=shutil.ignore_patterns("__pycache__"))
    stub = "triton_python_backend_stub"
    shutil.copy(wheel / "python_backend_stubs" / PYTHON / stub, work / "python" / stub)
    (work / "python" / stub).chmod(0o755)
    for name in names:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(OURS / name, work / name)
