"""Engines of a repository are checked against the GPU that is there before a server is started."""

from __future__ import annotations

from dataclasses import replace

import pytest

from toolkit.environment import gpus_here
from toolkit.errors import EnvironmentProblem
from toolkit.export.engine import STAMP_FILE, EngineStamp
from toolkit.records import write_json
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.engines import check_engines

H100 = EngineStamp(tensorrt="10.13.2", gpu="NVIDIA H100", architecture="9.0", driver="570.1")
L4 = replace(H100, gpu="NVIDIA L4", architecture="8.9")


@pytest.fixture
def repository(tmp_path):
    """Entry `net`: version 1 built for an H100, version 2 for an L4; entry `other` without an engine."""
    for version, stamp in (("1", H100), ("2", L4)):
        write_json(tmp_path / "net" / version / STAMP_FILE, stamp)
    (tmp_path / "other" / "1").mkdir(parents=True)
    return tmp_path


def test_an_engine_stamped_for_another_gpu_is_refused_with_the_command_that_mends_it(repository):
    check_engines(repository, None, here=L4)
    with pytest.raises(EnvironmentProblem) as caught:
        check_engines(repository, None, here=H100)
    assert "entry 'net': its TensorRT engine cannot run here: it was built for NVIDIA L4" in caught.value.message
    assert "toolkit export MODEL --format tensorrt" in caught.value.mend


def test_only_entries_that_are_loaded_are_checked(repository):
    check_engines(repository, ("other",), here=H100)
    check_engines(repository, (), here=H100)
    with pytest.raises(EnvironmentProblem):
        check_engines(repository, ("net",), here=H100)


@pytest.mark.skipif(bool(gpus_here()), reason="there is a GPU")
def test_serving_refuses_it_before_a_server_is_started(repository):
    with pytest.raises(EnvironmentProblem, match="this machine has no GPU"):
        serve_embedded(repository)
