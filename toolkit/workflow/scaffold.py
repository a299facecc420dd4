"""`toolkit new`: a PoC folder for a customer's model that runs as it is, and a notebook that guides through it."""

from __future__ import annotations

import os
from pathlib import Path

from toolkit.errors import UsageError
from toolkit.families import FAMILIES
from toolkit.models.source import source_from_path, with_paths
from toolkit.poc import FILE, read_poc
from toolkit.records import write_text
from toolkit.workflow.notebook import HOME, notebook_text


def new_poc(name: str, family: str, model: str, inputs: tuple[str, ...] = (), root: Path = Path("pocs")) -> Path:
    """Write `root/name` with a poc.yaml and a README. Returns the folder.

    Raises UsageError for a name that is taken or unfit, ModelRefused when the model cannot be opened.
    """
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise UsageError(f"'{name}' does not do as a name", mend="use letters, digits, - and _")
    if family not in FAMILIES:
        raise UsageError(f"there is no family '{family}'", mend=f"--family {' or '.join(FAMILIES)}")
    folder = root / name
    if folder.exists():
        raise UsageError(f"{folder} exists already", mend="choose another name, or delete the folder")
    source_from_path(model)
    write_text(folder / FILE, _poc_yaml(name, family, _relative(model, folder), inputs))
    write_text(folder / "README.md", f"# {name}\n\n    toolkit run {folder}\n    toolkit run {folder} --smoke\n")
    read_poc(folder)
    return folder


def new_notebook(folder: Path, family: str, root: Path = Path("notebooks")) -> Path:
    """Write `root/<name of the folder>.ipynb`, a guided notebook for the PoC in `folder`. Returns its path."""
    path = notebook_place(folder.name, root)
    with_home = (root / HOME).is_file()
    write_text(path, notebook_text(folder.name, os.path.relpath(folder, root), FAMILIES[family], with_home=with_home))
    return path


def notebook_place(name: str, root: Path = Path("notebooks")) -> Path:
    """Where the notebook of a PoC will be. Raises UsageError where one is already."""
    path = root / f"{name}.ipynb"
    if path.exists():
        raise UsageError(f"{path} exists already", mend="choose another name, or delete the notebook")
    return path


def _relative(model: str, folder: Path) -> str:
    return with_paths(model, lambda path: os.path.relpath(path, folder))


def _poc_yaml(name: str, family: str, model: str, inputs: tuple[str, ...]) -> str:
    import yaml

    value = FAMILIES[family]
    entry = name.replace("-", "_")
    spec: dict[str, object] = {"source": model}
    if inputs:
        spec["export"] = {"inputs": list(inputs)}
    config = {"max_batch_size": value.max_batch_size} if value.max_batch_size else {}
    data: dict[str, object] = {"schema": 1, "family": family, "title": name}
    data |= {"models": {entry: spec | ({"config": config} if config else {})}}
    # What is asked by a workload batches by itself: more instances would only hold the model several times.
    data |= {"workload": {"input": "32..128", "output": 64}} if value.asking else {}
    candidates = {"one-instance": {}, "two-instances": {entry: {"instance_group": [{"count": 2}]}}}
    search = {"candidates": {"as-configured": {}} if value.asking else candidates}
    loads = "".join(f"  - {{clients: {n}, duration_s: 10}}\n" for n in (1, 2, 4, 8, 16))
    return f"""\
# Every key is checked; `toolkit run` runs it. A model file may offer sample_inputs(seed, n) and held_out() besides.
{yaml.safe_dump(data, sort_keys=False)}\
# The objective, written down before anything is measured: change it to the customer's.
slo: {value.slo}
loads:
{loads}\
{yaml.safe_dump({"search": search}, sort_keys=False)}\
smoke:
  loads:
    - {{clients: 4, duration_s: 2, warmup_s: 0.5}}
"""
