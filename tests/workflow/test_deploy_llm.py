"""`toolkit deploy --server`: from the run of a language model to what a GPU server is given."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny_llm import DESCRIBED

from toolkit.artifact import LANGUAGE_MODEL, Artifact, write_artifact
from toolkit.deploy import DeploymentSpec, SmokeGeneration, compose_bundle
from toolkit.errors import UsageError
from toolkit.load.slo import slo_from_text
from toolkit.models.language_model import LANGUAGE_MODEL_FILE
from toolkit.poc import Poc, read_poc
from toolkit.records import digest_of_files, write_json
from toolkit.tensor import Signature
from toolkit.workflow.deploy_llm import LlmWishes, with_llm_server

POCS = Path(__file__).parents[2] / "pocs"
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with what the exporter leaves of a model of eight billion parameters, without its graph."""
    tokenizers = pytest.importorskip("tokenizers", reason="the smoke test needs the `llm` extra")
    folder = tmp_path / "run" / "artifacts" / "llm"
    folder.mkdir(parents=True)
    described = replace(
        DESCRIBED,
        parameters=8_000_000_000,
        context_length=8192,
        vocabulary_size=128256,
        layers=32,
        kv_heads=8,
        head_size=128,
        end_token_ids=(9,),
    )
    write_json(folder / LANGUAGE_MODEL_FILE, described)
    words = {word: number for number, word in enumerate(["a", "b", "c", "d", "e", "f"])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "a"))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "prompts.json").write_text('["a b"]')
    np.savez(
        folder / "reference.npz",
        tokens=np.array([[2, 3, 4, 5]], np.int32),
        margins=np.array([[3.0, 0.6, 0.2, 3.0]], np.float32),
        prompt_ids=np.array([[0, 1]], np.int32),
        prompt_lengths=np.array([2], np.int32),
    )
    write_artifact(
        folder,
        Artifact(
            name="llm",
            format=LANGUAGE_MODEL,
            precision="fp32",
            files=("config.json",),
            signature=Signature(inputs=(), outputs=()),
            sha256=digest_of_files(folder, ("config.json",)),
            built_on="here",
            parity="passed",
            source_sha256="2" * 64,
        ),
    )
    return tmp_path / "run"


@pytest.fixture
def poc() -> Poc:
    return read_poc(POCS / "llm")


@pytest.fixture
def measured(run: Path) -> DeploymentSpec:
    """What was measured: an entry that the embedded server's own backend ran."""
    (run / "repository" / "llm").mkdir(parents=True)
    return DeploymentSpec(
        name="llm",
        title="Text",
        repository=run / "repository",
        entries=("llm",),
        model="llm",
        run_id="20260102T030405Z-abcdef",
        slo=slo_from_text("ttft=300ms,tpot=40ms"),
        figures=None,
        smoke=SmokeGeneration(path="/", request={}, token_ids=(), text=""),
        memory_bytes=2**32,
        requirements=("tokenizers>=0.21",),
        backends=("onnxruntime_llm",),
    )


def test_the_engine_is_asked_for_what_the_gpu_bounds(
    run: Path, poc: Poc, measured: DeploymentSpec, tmp_path: Path
) -> None:
    def limits(**wishes: object) -> tuple[int | None, int | None, int]:
        spec = with_llm_server(measured, LlmWishes(server="vllm", **wishes), poc, run, tmp_path)  # type: ignore[arg-type]
        assert spec.llm is not None
        return spec.llm.limits.tokens, spec.llm.limits.sequences, spec.llm.limits.devices

    assert limits() == (8192, None, 1)
    tokens, sequences, devices = limits(gpu="L40S")
    # 48 GB x 0.9 less 16 GB of weights, at 128 KiB a token: twenty-odd sequences of 8192.
    assert (tokens, devices) == (8192, 1) and sequences is not None and 20 <= sequences <= 30
    assert limits(gpu="L40S", tokens=1024) == (1024, pytest.approx(8 * sequences, abs=8), 1)
    assert limits(gpu="H200-SXM", tokens=64)[1] == 256  # no more than an engine runs by default
    assert limits(gpu="T4")[2] > 1


def test_a_server_of_openais_api_gets_the_folder_and_a_completion_to_check(
    run: Path, poc: Poc, measured: DeploymentSpec, tmp_path: Path
) -> None:
    spec = with_llm_server(measured, LlmWishes(server="vllm"), poc, run, tmp_path)
    assert (spec.server, spec.entries, spec.backends, spec.requirements, spec.gpu) == ("vllm", (), (), (), True)
    assert spec.llm is not None and (spec.llm.place, spec.llm.source_sha256) == ("/opt/models/llm", "2" * 64)
    assert isinstance(spec.smoke, SmokeGeneration)
    # Two steps are certain; at the third the two best logits are too close for weights of 16 bits.
    assert spec.smoke.token_ids == (2, 3) and spec.smoke.request["max_tokens"] == 2
    assert (spec.smoke.request["prompt"], spec.smoke.request["temperature"]) == ("a b", 0)
    assert not any(path.startswith("model_repository/") for path in compose_bundle(spec).copies)


@pytest.mark.parametrize(
    ("server", "file", "wanted"),
    [
        ("triton-vllm", "model.json", {"model": "/opt/models/llm", "max_model_len": 2048, "tensor_parallel_size": 1}),
        ("triton-trtllm", "model.yaml", {"model": "/opt/models/llm", "max_seq_len": 2048, "tensor_parallel_size": 1}),
    ],
)
def test_triton_gets_the_entry_of_its_engine(
    run: Path,
    poc: Poc,
    measured: DeploymentSpec,
    tmp_path: Path,
    server: str,
    file: str,
    wanted: dict[str, object],
) -> None:
    wishes = LlmWishes(server=server, gpu="L40S", tokens=2048)
    spec = with_llm_server(measured, wishes, poc, run, tmp_path / "work")
    bundle = compose_bundle(spec)
    arguments = yaml.safe_load(bundle.copies[f"model_repository/llm/1/{file}"].source.read_text())
    assert arguments.items() >= wanted.items()
    assert arguments["max_num_seqs" if server == "triton-vllm" else "max_batch_size"] > 64
    assert isinstance(spec.smoke, SmokeGeneration)
    assert spec.smoke.path == "/v2/models/llm/generate_stream"
    assert ("streaming" in spec.smoke.request) is (server == "triton-trtllm")


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (LlmWishes(server="tgi"), "--server tgi is not known"),
        (LlmWishes(server="nim"), "none was named"),
        (LlmWishes(server="vllm", gpu="Z99"), "Z99"),
        (LlmWishes(server="vllm", tokens=9000), "more than the model's context of 8192"),
        (LlmWishes(server="vllm", image="vllm"), "not an image with a tag or digest"),
    ],
)
def test_what_cannot_be_deployed_is_refused(
    run: Path, poc: Poc, measured: DeploymentSpec, tmp_path: Path, wishes: LlmWishes, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        with_llm_server(measured, wishes, poc, run, tmp_path)


def test_a_run_of_another_family_is_refused(run: Path, measured: DeploymentSpec, tmp_path: Path) -> None:
    vision = read_poc(POCS / "vision")
    with pytest.raises(UsageError, match="family vision, and vLLM serves language models") as refused:
        with_llm_server(replace(measured), LlmWishes(server="vllm"), vision, run, tmp_path)
    assert "--server" in refused.value.mend
