"""The worker under another Python: found, started, and told apart from an environment that is not there."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from toolkit.errors import EnvironmentProblem, MissingDependency, UsageError
from toolkit.export.environments import NAMES, commands_to_make, make_environment, python_of, variable_of
from toolkit.export.export import export
from toolkit.export.inspect import missing_for
from toolkit.export.spec import ExportSpec
from toolkit.models.source import source_from_path

SITE = Path(sysconfig.get_path("purelib"))
JAX_PY = "import jax\n\ndef load_model():\n    return jax.numpy.sin\n"


def other_python(folder: Path, *packages: str) -> Path:
    """A virtual environment that sees these folders of our packages, or all of them."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    for name in packages:
        (site / name).symlink_to(SITE / name)
    if not packages:
        (site / "all.pth").write_text(f"{SITE}\n")
    return folder / "bin" / "python"


@pytest.fixture
def no_environments(monkeypatch, tmp_path):
    """Neither a variable nor a cache says where an environment is."""
    for name in NAMES:
        monkeypatch.delenv(variable_of(name), raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_model_is_exported_by_the_python_that_is_named(model_py, tmp_path):
    python = other_python(tmp_path / "other")
    source = source_from_path(str(model_py(more="import sys; print('run by', sys.prefix)")))
    artifact = export(source, ExportSpec(sample_count=4, python=python), tmp_path / "out", name="net")
    assert artifact.parity == "passed"
    assert f"run by {tmp_path / 'other'}\n" in (tmp_path / "out" / "export.log").read_text()


def test_the_worker_needs_of_ours_only_numpy_and_onnx(tmp_path, monkeypatch, no_environments):
    """Where only these are there it gets as far as saying what else the framework needs."""
    python = other_python(
        tmp_path / "bare", "numpy", "numpy.libs", "onnx", "google", "ml_dtypes", "typing_extensions.py"
    )
    (tmp_path / "model.py").write_text(JAX_PY)
    monkeypatch.setenv(variable_of("jax"), str(python))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(MissingDependency, match="needs jax and jax2onnx, in an environment of its own") as caught:
        export(source_from_path(str(tmp_path / "model.py")), ExportSpec(), tmp_path / "out", name="net")
    assert "toolkit env make jax" in caught.value.mend and "TOOLKIT_PYTHON_JAX" in caught.value.mend
    assert f"under {python}\n" in (tmp_path / "out" / "export.log").read_text()
    start = Path(export.__code__.co_filename).with_name("start_worker.py")
    modules = "export.function_export, toolkit.export.function_onnx, toolkit.models.savedmodel"
    program = f"import runpy; runpy.run_path({str(start)!r})['known']()\nimport toolkit.{modules}"
    subprocess.run([python, "-P", "-c", program], check=True)


@pytest.mark.parametrize("way", ["option", "variable"])
def test_a_python_that_is_none_is_named(tmp_path, monkeypatch, way):
    (tmp_path / "model.py").write_text(JAX_PY)
    absent = tmp_path / "absent" / "python"
    if way == "variable":
        monkeypatch.setenv("TOOLKIT_PYTHON_JAX", str(absent))
    spec = ExportSpec(python=absent if way == "option" else None)
    with pytest.raises(EnvironmentProblem, match=r"absent/python cannot be started: No such file") as caught:
        export(source_from_path(str(tmp_path / "model.py")), spec, tmp_path / "out", name="net")
    assert "--python" in caught.value.mend


def test_where_an_environment_is_looked_for(tmp_path, monkeypatch, no_environments):
    assert python_of("jax") is None and missing_for("jax") == ("toolkit env make jax",)
    made = tmp_path / "cache" / "poc-toolkit" / "environments" / "jax" / "bin" / "python"
    made.parent.mkdir(parents=True)
    made.touch()
    assert python_of("jax") is None  # it may have been interrupted
    (made.parents[1] / "made-from.txt").touch()
    assert python_of("jax") == made and missing_for("jax") == ()
    monkeypatch.setenv("TOOLKIT_PYTHON_JAX", "/somewhere/bin/python")
    assert python_of("jax") == Path("/somewhere/bin/python")


@pytest.mark.parametrize("name", NAMES)
def test_every_environment_has_its_pinned_versions(name, tmp_path):
    (_, venv), (_, pip) = commands_to_make(name, tmp_path / "made")
    assert venv[1:] == ["-m", "venv", str(tmp_path / "made")]
    pins = Path(pip[-1]).read_text().splitlines()
    assert all("==" in line for line in pins)
    assert {"onnx", "numpy"} <= {line.split("==")[0] for line in pins}


def test_an_environment_that_cannot_be_made_says_why(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="there is no environment 'mxnet'"):
        make_environment("mxnet", tmp_path, print)
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentProblem, match=r"making .*file failed: .*"):
        make_environment("jax", tmp_path / "file", print)
    assert [place.name for place in tmp_path.iterdir()] == ["file"]
