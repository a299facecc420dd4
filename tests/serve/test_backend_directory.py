from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.serve.backend_directory import backend_directory
from toolkit.serve.prerequisites import wheel_folder


def test_two_processes_at_once_end_with_one_whole_folder(can_serve: None, tmp_path: Path) -> None:
    code = (
        "from toolkit.serve.backend_directory import backend_directory\n"
        "from toolkit.serve.prerequisites import wheel_folder\n"
        "print(backend_directory(wheel_folder()))"
    )
    environment = {"XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    places = {process.communicate()[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    (place,) = map(Path, places)
    assert [path for path in place.parent.iterdir() if path != place] == []
    assert (place / "python" / "triton_python_backend_stub").stat().st_mode & 0o111
    assert (place / "onnxruntime" / "model.py").is_file()


def test_it_is_made_once(can_serve: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = backend_directory(wheel_folder())
    made = place.stat().st_mtime_ns
    assert place.is_relative_to(tmp_path)
    assert backend_directory(wheel_folder()) == place
    assert place.stat().st_mtime_ns == made
