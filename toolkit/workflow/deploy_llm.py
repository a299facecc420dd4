"""`toolkit deploy --server`: the run of a language model, to be served by a GPU server that nobody measured.

In: the DeploymentSpec of what was measured, and what was asked. Out: one whose server is given the customer's folder.
What of the run still holds is the objective, and the answers that any server of these weights gives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast
from urllib.parse import quote

from toolkit.artifact import Artifact, read_artifact
from toolkit.deploy.server import Limits, Llm, Server
from toolkit.deploy.servers import TRITON, server_named
from toolkit.deploy.smoke import SmokeGeneration
from toolkit.deploy.spec import MIB, DeploymentSpec, slug_of
from toolkit.errors import UsageError
from toolkit.families.asking import CertainAnswer
from toolkit.models.language_model import read_language_model
from toolkit.models.source import Source
from toolkit.poc import Poc
from toolkit.repository.llm_server import LlmServer, add_llm_server_entry
from toolkit.repository.model_config import config_data
from toolkit.serve.generation import Sampling, generation_request, input_names
from toolkit.size.catalogue import FILE, chosen, read_catalogue
from toolkit.size.llm_config import shape_from_path
from toolkit.size.llm_shape import LlmShape, llm_bounds

#: So far apart are the two best logits of a token that weights of 16 bits do not exchange them: they move a logit of 10
#: by a tenth or so. An assumption.
CERTAIN_LOGITS = 0.5
#: No engine is asked for more sequences at once than vLLM runs by default, however many the memory holds.
MOST_SEQUENCES = 256
#: Tokens that are asked for where none is certain.
ANY_TOKENS = 16
#: What an engine's processes take beside the weights, which pass through the host's memory, and what its workers share.
_HOST_BYTES, _SHM_BYTES, _SHM_OF_SEVERAL_BYTES = 16 * 1024 * MIB, 2 * 1024 * MIB, 8 * 1024 * MIB
#: Engines load weights of 32 bits as 16, and quantised ones are smaller than these.
_BYTES_PER_WEIGHT, _PRECISION = 2, "fp16"


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmWishes:
    """What `toolkit deploy` was asked of a language model's server. `gpu` is a name of the catalogue, whose memory then
    bounds what the engine is asked for; `tokens` are of the longest sequence, 0 for the model's context."""

    server: str = TRITON.name
    image: str = ""
    gpu: str = ""
    tokens: int = 0


def with_llm_server(spec: DeploymentSpec, wishes: LlmWishes, poc: Poc, run: Path, work: Path) -> DeploymentSpec:
    """`spec` for another server of its language model; what that server reads is written below `work`.

    Raises UsageError for a run of another family, an unknown server or GPU, and a server whose image was not named.
    """
    server = server_named(wishes.server, wishes.image)
    if poc.family.asking is None:
        raise UsageError(
            f"{run}: this run is of the family {poc.family.name}, and {server.title} serves language models",
            mend=f"leave --server out: {TRITON.name} serves what was measured",
        )
    folder = run / "artifacts" / poc.model
    artifact = read_artifact(folder)
    llm = _llm(spec, wishes, poc, folder, artifact)
    answer = poc.family.asking.certain(folder, CERTAIN_LOGITS)
    several = llm.limits.devices > 1
    shm_bytes = _SHM_OF_SEVERAL_BYTES if several else _SHM_BYTES
    replaced = replace(
        spec,
        server=server.name,
        image=wishes.image or server.image,
        llm=llm,
        entries=(),
        smoke=_completion(llm, answer),
        shm_bytes=shm_bytes,
        memory_bytes=_HOST_BYTES + shm_bytes + -(-llm.weight_bytes // MIB) * MIB,
        gpu=True,
        requirements=(),
        backends=(),
    )
    return _with_entry(replaced, server, llm, folder, answer, work) if server.has_repository else replaced


def _llm(spec: DeploymentSpec, wishes: LlmWishes, poc: Poc, folder: Path, artifact: Artifact) -> Llm:
    shape, context = shape_from_path(folder), read_language_model(folder).context_length
    if wishes.tokens > context:
        raise UsageError(f"--tokens {wishes.tokens} is more than the model's context of {context}", mend="ask for less")
    return Llm(
        served_name=slug_of(spec.model),
        source=Path(poc.file.models[poc.model].source).name,
        source_sha256=artifact.source_sha256,
        weight_bytes=shape.parameters * _BYTES_PER_WEIGHT,
        limits=_limits(shape, wishes.gpu, wishes.tokens or context),
    )


def _limits(shape: LlmShape, gpu: str, tokens: int) -> Limits:
    """What the memory of a GPU bounds, where one is named."""
    if not gpu:
        return Limits(tokens=tokens)
    gpus = chosen(read_catalogue(FILE), (gpu,))
    (bounds,) = llm_bounds(shape, gpus, (_PRECISION,), tokens=tokens, prompt_tokens=max(1, tokens // 2))
    return Limits(
        tokens=tokens,
        sequences=min(bounds.sequences, MOST_SEQUENCES),
        devices=bounds.devices,
        accelerator=bounds.accelerator,
        arithmetic=bounds.arithmetic,
    )


def _completion(llm: Llm, answer: CertainAnswer) -> SmokeGeneration:
    """The smoke test in the words of OpenAI's API."""
    count = len(answer.token_ids) or ANY_TOKENS
    request = {"model": llm.served_name, "prompt": answer.prompt, "max_tokens": count, "temperature": 0, "stream": True}
    return SmokeGeneration(path="/v1/completions", request=request, token_ids=answer.token_ids, text=answer.text)


def _with_entry(
    spec: DeploymentSpec, server: Server, llm: Llm, folder: Path, answer: CertainAnswer, work: Path
) -> DeploymentSpec:
    """`spec` with the entry of a Triton that runs the engine, and a smoke test in the words of that entry."""
    described = Source(path=folder, entry=None, framework="huggingface", sha256=llm.source_sha256, task="causal-lm")
    entry = add_llm_server_entry(
        work,
        described,
        cast(LlmServer, server.name),
        name=spec.model,
        model_path=llm.place,
        tensor_parallel_size=llm.limits.devices,
        tokens=llm.limits.tokens,
        sequences=llm.limits.sequences,
    )
    return replace(
        spec, repository=work, entries=(entry.name,), smoke=generation(entry.name, config_data(entry.config), answer)
    )


def generation(name: str, config: dict[str, object], answer: CertainAnswer) -> SmokeGeneration:
    """The smoke test of a Triton entry that generates text."""
    sampling = Sampling(max_tokens=len(answer.token_ids) or ANY_TOKENS)
    request = generation_request(answer.prompt, sampling, input_names(config), details=True)
    path = f"/v2/models/{quote(name, safe='')}/generate_stream"
    return SmokeGeneration(path=path, request=request, token_ids=answer.token_ids, text=answer.text)
