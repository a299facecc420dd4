"""The house itself: what imports cost, what is documented, what stands where."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from toolkit.cli import app

ROOT = Path(__file__).parents[1]
HEAVY = ("numpy", "torch", "onnx", "onnxruntime", "transformers", "tritonclient", "docker", "altair", "IPython", "PIL")
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {heavy!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
{code}
"""


def run_without(code: str, heavy: tuple[str, ...] = HEAVY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(heavy=heavy, code=code)], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["doctor", "--help"], ["version"]])
def test_help_works_without_any_heavy_package(arguments: list[str]) -> None:
    done = run_without(f"import sys; sys.argv = ['toolkit', *{arguments!r}]\nfrom toolkit.cli import main\nmain()")
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize(
    ("module", "extra"), [("PIL.Image", "vision"), ("altair", "report"), ("torch", "pytorch"), ("docker", "docker")]
)
def test_a_missing_extra_is_named_with_its_command(module: str, extra: str) -> None:
    done = run_without(f"from toolkit.extras import require\nrequire({module!r})")
    assert done.returncode == 1
    assert f"pip install 'poc-toolkit[{extra}]'" in done.stderr


def test_nothing_is_told_to_the_maker_of_onnx_runtime(tmp_path: Path) -> None:
    """Its telemetry, where it is on, keeps a database and an identifier of the machine in the user's cache."""
    code = "import toolkit, onnxruntime; onnxruntime.SessionOptions()"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=home, check=True, timeout=60)
    assert list(tmp_path.rglob("*onnxruntime*")) == []


def commands(group: typer.Typer, prefix: str = "toolkit") -> list[str]:
    names = [c.name or c.callback.__name__.replace("_", "-") for c in group.registered_commands]
    found = [f"{prefix} {name}" for name in names]
    for sub in group.registered_groups:
        found += commands(sub.typer_instance, f"{prefix} {sub.name}")
    return found


@pytest.mark.parametrize("command", commands(app))
def test_every_command_stands_in_the_readme_and_takes_help(command: str) -> None:
    assert f"| `{command}" in (ROOT / "README.md").read_text()
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "--json" in done.stdout or command == "toolkit version"


def test_the_top_level_holds_what_it_should() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    top = {name.split("/")[0] for name in tracked if name and not name.startswith(".")}
    allowed = {"pyproject.toml", "notebooks", "pocs", "deploy_templates", "toolkit", "model_repo", "tests", "README.md"}
    assert top <= allowed | {"Makefile", "constraints.txt", "LICENSE"}


def test_links_in_the_readme_resolve() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert "://" in target or (ROOT / target).exists(), target


def test_every_step_and_backend_imports_nothing_of_the_toolkit() -> None:
    for path in (*ROOT.glob("toolkit/serve/backends/*/*.py"), *ROOT.glob("toolkit/repository/steps/*/model.py")):
        assert not re.search(r"^\s*(from|import) toolkit\b", path.read_text(), re.MULTILINE), path
