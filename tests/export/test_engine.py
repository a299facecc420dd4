"""TensorRT: what is asked of it, checked against the real bindings; stamps; the script; and builds where a GPU is."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import os
import shutil
import subprocess
import sys
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from toolkit.artifact import read_artifact
from toolkit.environment import gpus_here
from toolkit.errors import ConfigurationError, EnvironmentProblem, MissingDependency, UsageError
from toolkit.export import tensorrt
from toolkit.export.arrays import read_arrays
from toolkit.export.engine import (
    BUILD_FILE,
    BUILT_ON_FILE,
    ENGINE_FILE,
    STAMP_FILE,
    EngineOptions,
    EngineStamp,
    axes_for,
    shape_profiles,
    stamp_from_build,
    trtexec_arguments,
    why_not,
)
from toolkit.export.engine_export import engine_options, export_engine, finish_engine, prepare_engine
from toolkit.export.export import export
from toolkit.export.spec import REFERENCE_FILE, SAMPLES_FILE, ExportSpec
from toolkit.models.source import source_from_path
from toolkit.records import read_json, write_json
from toolkit.repository.entry import add_artifact
from toolkit.serve.engines import check_engines
from toolkit.tensor import Signature, tensor_from_text

IMAGE = "nvcr.io/nvidia/tritonserver:26.09-py3"
SIGNATURE = Signature(
    inputs=(tensor_from_text("x:float32:batch,length,4"), tensor_from_text("mask:int64:batch,length")),
    outputs=(tensor_from_text("y:float32:batch,3"),),
)
H100 = EngineStamp(tensorrt="10.13.2.6", gpu="NVIDIA H100 80GB HBM3", architecture="9.0", driver="570.1")


L4 = EngineStamp(tensorrt="10.13.2.6", gpu="NVIDIA L4", architecture="8.9", driver="570.1")
changed = dataclasses.replace


@pytest.mark.parametrize(
    ("built", "here", "reason"),
    [
        (H100, H100, ""),
        (H100, changed(H100, driver="580.2"), ""),
        (H100, L4, "built for NVIDIA H100 80GB HBM3 (compute capability 9.0), and this machine has NVIDIA L4"),
        (H100, changed(H100, gpu="", architecture=""), "this machine has no GPU"),
        (H100, changed(H100, tensorrt="10.13.3.1"), "built by TensorRT 10.13.2.6, and TensorRT 10.13.3.1"),
        (H100, changed(H100, tensorrt="11.4.0"), "built by TensorRT 10.13.2.6"),
        (H100, changed(H100, tensorrt=""), ""),
        (changed(H100, architecture=""), changed(H100, architecture="8.9"), ""),
        (changed(H100, hardware="ampere+"), L4, ""),
        (changed(H100, hardware="ampere+"), changed(H100, gpu="T4", architecture="7.5"), "this machine has T4"),
        (changed(H100, hardware="same"), L4, "this machine has NVIDIA L4"),
        (changed(H100, any_version=True), changed(H100, tensorrt="10.14.0"), ""),
        (changed(H100, any_version=True), changed(H100, tensorrt="10.9.0"), "built by TensorRT"),
        (changed(H100, any_version=True), changed(H100, tensorrt="11.0.0"), "built by TensorRT"),
    ],
)  # fmt: skip
def test_an_engine_is_tied_to_gpu_and_version_unless_built_otherwise(built, here, reason):
    found = why_not(built, here)
    assert found.find(reason) >= 0 and bool(found) == bool(reason)


def test_profiles_give_every_named_axis_three_lengths():
    axes = axes_for(SIGNATURE, {"length": 64}, 16)
    assert axes == {"batch": (1, 16, 16), "length": (1, 64, 64)}
    x, mask = shape_profiles(SIGNATURE, axes)
    assert (x.name, x.least, x.usual, x.most) == ("x", (1, 1, 4), (16, 64, 4), (16, 64, 4))
    assert (mask.least, mask.most) == ((1, 1), (16, 64))
    fixed = Signature(inputs=(tensor_from_text("x:float32:1,4"),), outputs=())
    assert shape_profiles(fixed, axes_for(fixed, {}, 8)) == ()


def test_lengths_that_make_no_profile_are_refused():
    with pytest.raises(UsageError, match="how long axis 'length' may be is not known"):
        axes_for(SIGNATURE, {}, 8)
    with pytest.raises(UsageError, match="axis 'length': 1, 9, 8 are not least <= usual <= most"):
        shape_profiles(SIGNATURE, {"batch": (1, 8, 8), "length": (1, 9, 8)})


def test_trtexec_is_asked_for_the_same_build_without_flags_that_version_11_lacks():
    options = EngineOptions(
        axes={"batch": (1, 8, 16), "length": (1, 64, 128)},
        hardware="ampere+",
        any_version=True,
        workspace_bytes=1 << 30,
    )
    arguments = trtexec_arguments(SIGNATURE, options, "model.onnx")
    assert "--minShapes=x:1x1x4,mask:1x1" in arguments
    assert "--optShapes=x:8x64x4,mask:8x64" in arguments
    assert "--maxShapes=x:16x128x4,mask:16x128" in arguments
    assert {"--stronglyTyped", "--hardwareCompatibilityLevel=ampere+", "--versionCompatible"} <= set(arguments)
    assert "--memPoolSize=workspace:1024M" in arguments
    removed = ("--fp16", "--bf16", "--int8", "--fp8", "--best", "--calib", "--explicitBatch")
    assert not [a for a in arguments if a.partition("=")[0] in removed]


def test_the_stamp_is_read_from_what_the_script_leaves():
    options = EngineOptions(axes={"batch": (1, 8, 8)}, hardware="same")
    stamp = stamp_from_build("101302\nNVIDIA H100 80GB HBM3, 9.0, 570.124.06\n", options)
    assert stamp == EngineStamp(
        tensorrt="10.13.2",
        gpu="NVIDIA H100 80GB HBM3",
        architecture="9.0",
        driver="570.124.06",
        hardware="same",
        most_rows=8,
    )
    for text in ("", "101302", "ten\na, b, c", "101302\nno commas"):
        with pytest.raises(ConfigurationError, match=r"run build_engine\.sh again"):
            stamp_from_build(text, options)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The ONNX artifact of a small network."""
    folder = tmp_path_factory.mktemp("net")
    (folder / "model.py").write_text(
        "import numpy as np, torch\n"
        "def load_model(): return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))\n"
        "def sample_inputs(seed, n):\n"
        "    return {'input': np.random.default_rng(seed).standard_normal((n, 4)).astype(np.float32)}\n"
    )
    export(source_from_path(str(folder / "model.py")), ExportSpec(sample_count=10), folder / "onnx", name="net")
    return folder / "onnx"


def test_the_script_builds_stamps_and_describes_the_engine(base, tmp_path):
    """docker is a stand-in that runs the script's inner part here, with a trtexec that leaves as much."""
    options = engine_options(base, max_batch_size=8)
    script = prepare_engine(base, tmp_path / "engine dir", options, image=IMAGE)
    tools = tmp_path / "tools"
    tools.mkdir()
    trtexec = '#!/bin/sh\nfor a; do case $a in --saveEngine=*) echo plan >"${a#*=}";; esac; done\n'
    trtexec += "echo '&&&& RUNNING TensorRT.trtexec [TensorRT v101302] [b6]'\n"
    docker = '#!/bin/sh\nwhile [ "$1" != sh ]; do shift; done\nexec "$@"\n'
    smi = "#!/bin/sh\necho 'NVIDIA L4, 8.9, 570.1'\n"
    for name, text in (("docker", docker), ("trtexec", trtexec), ("nvidia-smi", smi)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", script], env=os.environ | {"PATH": path, "PYTHON": sys.executable}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    artifact = read_artifact(script.parent)
    assert (artifact.format, artifact.files, artifact.parity) == ("tensorrt", (ENGINE_FILE, STAMP_FILE), "unchecked")
    stamp = read_json(script.parent / STAMP_FILE, EngineStamp)
    assert (stamp.tensorrt, stamp.architecture, stamp.most_rows) == ("10.13.2", "8.9", 8)
    syntax = subprocess.run(["sh", "-n", script], capture_output=True, text=True)
    assert syntax.returncode == 0 and IMAGE in script.read_text()


def test_an_engine_that_was_not_built_is_no_artifact(base, tmp_path):
    prepare_engine(base, tmp_path / "engine", engine_options(base, max_batch_size=8), image=IMAGE)
    with pytest.raises(ConfigurationError, match=r"has no model\.plan"):
        finish_engine(tmp_path / "engine")


def test_an_engine_becomes_an_entry_whose_batch_is_that_of_its_profile(base, tmp_path):
    prepare_engine(base, tmp_path / "engine", engine_options(base, max_batch_size=4), image=IMAGE)
    (tmp_path / "engine" / ENGINE_FILE).write_bytes(b"plan")
    (tmp_path / "engine" / BUILT_ON_FILE).write_text("101302\nNVIDIA L4, 8.9, 570.1\n")
    finish_engine(tmp_path / "engine")
    entry = add_artifact(tmp_path / "repository", tmp_path / "engine")
    config = entry.config
    assert (config.backend, config.max_batch_size, config.default_model_filename) == ("tensorrt", 4, ENGINE_FILE)
    assert not config.parameters and config.optimization is None and config.input[0].dims == (4,)
    assert {p.name for p in (entry.path / "1").iterdir()} == {ENGINE_FILE, STAMP_FILE}
    with pytest.raises(EnvironmentProblem, match="it was built for NVIDIA L4"):
        check_engines(tmp_path / "repository", None, here=H100)


@pytest.mark.skipif(util.find_spec("tensorrt") is not None, reason="TensorRT is installed")
def test_without_tensorrt_the_way_to_build_it_elsewhere_is_left(base, tmp_path):
    with pytest.raises(MissingDependency, match="'tensorrt' is not installed; what it is built from is in") as caught:
        export_engine(base, tmp_path / "engine", engine_options(base, max_batch_size=8), image=IMAGE)
    assert f"sh {tmp_path / 'engine' / BUILD_FILE}" in caught.value.mend
    assert (tmp_path / "engine" / "model.onnx").is_file() and not (tmp_path / "engine" / BUILT_ON_FILE).exists()


# --- the names that our code uses, in NVIDIA's own bindings -----------------------------------------------------------

#: Variables of our code -> the class of the bindings that they hold.
HOLDS = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "error": "ParserError",
    "config": "IBuilderConfig",
    "profile": "IOptimizationProfile",
    "cache": "ITimingCache",
    "_runtime": "Runtime",
    "_engine": "ICudaEngine",
    "_context": "IExecutionContext",
}


def names_used() -> list[list[str]]:
    """`trt.X.Y` chains, and what is used of the objects in HOLDS, read from the source."""
    found: set[tuple[str, ...]] = set()
    for node in ast.walk(ast.parse(inspect.getsource(tensorrt))):
        chain: list[str] = []
        while isinstance(node, ast.Attribute):
            chain.insert(0, node.attr)
            node = node.value
        if isinstance(node, ast.Name) and chain:
            chain.insert(0, node.id)
        if chain[:1] == ["self"]:
            chain = chain[1:]
        if len(chain) > 1 and chain[0] == "trt":
            found.add(tuple(chain[1:]))
        elif len(chain) > 1 and chain[0] in HOLDS:
            found.add((HOLDS[chain[0]], chain[1]))
    return [list(chain) for chain in sorted(found)]


def test_our_names_are_those_of_the_real_bindings(tmp_path):
    """The wheel's module loads without a GPU beside libraries that define nothing but the symbols it is linked with."""
    bindings = util.find_spec("tensorrt_bindings")
    if bindings is None or not bindings.submodule_search_locations or shutil.which("gcc") is None:
        pytest.skip("needs the wheel tensorrt_cu13_bindings and gcc")
    folder = Path(bindings.submodule_search_locations[0])
    listed = subprocess.run(["nm", "-D", "--undefined-only", folder / "tensorrt.so"], capture_output=True, text=True)
    needed = subprocess.run(["readelf", "-d", folder / "tensorrt.so"], capture_output=True, text=True).stdout
    symbols = {line.split()[-1] for line in listed.stdout.splitlines()}
    missing = [s for s in symbols if s.startswith(("create", "get", "init"))]
    (tmp_path / "stub.c").write_text("".join(f"void {s}(void) {{}}\n" for s in missing))
    libraries = [part.split("[")[1].split("]")[0] for part in needed.splitlines() if "libnv" in part]
    assert len(libraries) == 3 and missing
    for library in libraries:
        command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", tmp_path / library, tmp_path / "stub.c"]
        subprocess.run(command, check=True)
    program = (
        "import json, sys, tensorrt_bindings as trt\n"
        "def has(chain):\n"
        "    place = trt\n"
        "    for name in chain:\n"
        "        if not hasattr(place, name): return False\n"
        "        place = getattr(place, name)\n"
        "    return True\n"
        "print(json.dumps([chain for chain in json.loads(sys.argv[1]) if not has(chain)]))\n"
    )
    used = [*names_used(), ["IHostMemory", "nbytes"], ["NetworkDefinitionCreationFlag", "STRONGLY_TYPED"]]
    used += [["DataType", name] for name in tensorrt._TORCH_NAMES]
    assert ["Builder", "build_serialized_network"] in used and ["IExecutionContext", "execute_async_v3"] in used
    assert len(used) > 25
    planted = [["Builder", "build_engine"], ["BuilderFlag", "INT8"]]  # gone since TensorRT 8 and 11
    answer = subprocess.run(
        [sys.executable, "-c", program, json.dumps(used + planted)],
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == planted


@pytest.mark.gpu
@pytest.mark.skipif(util.find_spec("tensorrt") is None or not gpus_here(), reason="needs a GPU and TensorRT")
def test_an_engine_is_built_answers_and_is_stamped(base, tmp_path):
    options = engine_options(base, max_batch_size=4)
    artifact = export_engine(base, tmp_path / "engine", options, image=IMAGE)
    assert (artifact.format, artifact.parity) == ("tensorrt", "passed")
    stamp = read_json(tmp_path / "engine" / STAMP_FILE, EngineStamp)
    assert stamp.gpu and stamp.architecture and why_not(stamp, stamp) == ""
    session = tensorrt.EngineSession((tmp_path / "engine" / ENGINE_FILE).read_bytes())
    samples, reference = (read_arrays(base / name) for name in (SAMPLES_FILE, REFERENCE_FILE))
    got = session.answers({"input": samples["input"][:3]})["output"]
    np.testing.assert_allclose(got, reference["output"][:3], rtol=1e-2, atol=1e-2)
    engine_options(base, max_batch_size=4)
    again = export_engine(base, tmp_path / "engine", options, image=IMAGE)
    assert again.parity == "passed" and (tmp_path / "engine" / "timing.cache").is_file()


def test_stamps_are_read_back(tmp_path):
    write_json(tmp_path / STAMP_FILE, H100)
    assert read_json(tmp_path / STAMP_FILE, EngineStamp) == H100
