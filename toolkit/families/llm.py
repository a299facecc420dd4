"""Language models: a prompt in, tokens out, one response each. What a reader feels is measured by TTFT, TPOT and ITL.

Parity is by greedy tokens: equal up to the first step at which the original's two best logits are closer than TIE,
since rounding decides from there on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.export.arrays import read_arrays
from toolkit.export.generation_parity import NONE, continuations, judge_tokens
from toolkit.export.parity import BatchEvidence, ParityResult, TaskMetric, Tolerance, compare
from toolkit.export.spec import PROMPTS_FILE, REFERENCE_FILE
from toolkit.families.asking import Asked, Asking, CertainAnswer, Questions
from toolkit.families.family import Family
from toolkit.families.prompts import TokenizerFile, texts_of, tokenizer_in
from toolkit.load.ask import Answer
from toolkit.load.connection import WireProtocol
from toolkit.load.server_metrics import Sample, read_metrics
from toolkit.load.token_trace import prompts_from_trace
from toolkit.load.workload import Prompt, WorkloadSpec, prompts_of, workload_data_from_text, workload_from_data
from toolkit.models.language_model import read_language_model
from toolkit.records import from_data
from toolkit.serve.event_stream import DONE, Events
from toolkit.serve.generation import Sampling, generates_text, generation_request, input_names, piece_from_event
from toolkit.serve.server import Endpoint
from toolkit.serve.wire import Array, generate_request
from toolkit.serve.wire_grpc import infer_message

#: Arrays of the exporter's reference: greedy tokens, and how far apart the two best logits were.
TOKENS, MARGINS = "token_ids", "margins"
#: Counters of our backend: iterations of its loop, and the sequences that these decoded, one for each.
ITERATIONS, ROWS = "onnxruntime_llm_iterations", "onnxruntime_llm_decoded_rows"


def entry_of(config: Mapping[str, Any], folder: Path | None) -> Asked:
    """The entry of a ModelConfig; `folder` holds its tokenizer where that is at hand."""
    stated = config.get("parameters", {}).get("max_length", {})
    length = stated.get("string_value") if isinstance(stated, Mapping) else stated
    return Asked(
        name=str(config["name"]),
        inputs=input_names(config),
        context=int(length) if length else None,
        folder=folder,
    )


def requests_of(entry: Asked, workload: Mapping[str, Any], protocol: WireProtocol) -> tuple[bytes, ...]:
    """The requests of a workload, greedy and as long as it says. Raises UsageError and ConfigurationError."""
    prompts = _prompts(workload)
    texts = texts_of(prompts, tokenizer_in(entry.folder), context=entry.context)
    return tuple(
        _request(entry, text, Sampling(max_tokens=prompt.output_tokens, ignore_eos=True), protocol)
        for text, prompt in zip(texts, prompts, strict=True)
    )


def _prompts(workload: Mapping[str, Any]) -> tuple[Prompt, ...]:
    if (trace := workload.get("trace")) is None:
        return prompts_of(workload_from_data(workload, "workload"))
    spec: WorkloadSpec = from_data(WorkloadSpec, dict(workload), "workload")
    return prompts_from_trace(Path(trace), scale=spec.scale, seed=spec.seed or 0)


def _request(entry: Asked, text: str, sampling: Sampling, protocol: WireProtocol, *, details: bool = False) -> bytes:
    said = generation_request(text, sampling, entry.inputs, details=details)
    if protocol == "grpc-stream":
        return infer_message(entry.name, {name: _tensor(value) for name, value in said.items()})
    return generate_request(entry.name, said, host="localhost")


def _tensor(value: Any) -> Array:
    if isinstance(value, str):
        return np.array([value.encode()], dtype=object)
    if isinstance(value, list):
        return np.array([v.encode() for v in value], dtype=object)
    return np.array([value], dtype={bool: np.bool_, int: np.int32, float: np.float32}[type(value)])


def questions_of(entry: Asked, artifact: Path) -> Questions:
    """The exporter's prompts, greedily, each with another length, so that some join while others go on."""
    arrays, prompts = read_arrays(artifact / REFERENCE_FILE), json.loads((artifact / PROMPTS_FILE).read_text())
    longest = arrays["tokens"].shape[1]
    asked = [max(1, longest - number % 4 * longest // 8) for number in range(len(prompts))]
    cut = np.arange(longest) < np.array(asked)[:, None]
    reference = {
        TOKENS: np.where(cut, arrays["tokens"], NONE).astype(np.int32),
        MARGINS: np.where(cut, arrays["margins"], np.inf),
    }
    requests = tuple(
        _request(entry, text, Sampling(max_tokens=count, ignore_eos=True), "sse", details=True)
        for text, count in zip(prompts, asked, strict=True)
    )
    return Questions(
        requests=requests,
        reference=reference,
        comparing=compare_tokens,
        protocol="sse",
        decode=partial(tokens_of, steps=longest),
        watch=watch_iterations,
    )


def certain_answer(artifact: Path, margin: float) -> CertainAnswer:
    """Of the exporter's prompts the one whose greedy answer is certain for longest.

    A step is certain while the original's two best logits differ by `margin` or more, and before its end of text.
    """
    arrays, prompts = read_arrays(artifact / REFERENCE_FILE), json.loads((artifact / PROMPTS_FILE).read_text())
    ends = read_language_model(artifact).end_token_ids
    certain = (arrays["margins"] >= margin) & ~np.isin(arrays["tokens"], ends)
    lengths = np.cumprod(certain, axis=1).sum(axis=1)
    chosen = int(lengths.argmax())
    tokens = arrays["tokens"][chosen, : lengths[chosen]].tolist()
    asked = arrays["prompt_ids"][chosen, : arrays["prompt_lengths"][chosen]].tolist()
    tokenizer = TokenizerFile(artifact)
    # Decoded behind the prompt, since some tokenizers drop the space that a text begins with.
    text = tokenizer.decode([*asked, *tokens]).removeprefix(tokenizer.decode(asked)).rstrip("\N{REPLACEMENT CHARACTER}")
    return CertainAnswer(prompt=prompts[chosen], token_ids=tuple(tokens), text=text)


def tokens_of(answer: Answer, *, steps: int) -> dict[str, Array]:
    """The tokens of a streamed answer [1, steps + 1], padded with NONE, so that one too many shows.

    Raises ServerTrouble for an error within the stream.
    """
    events = [event for event in Events().complete_with(answer.body) if event != DONE]
    ids = [token for event in events for token in piece_from_event(event).token_ids][: steps + 1]
    return {TOKENS: np.array([ids + [NONE] * (steps + 1 - len(ids))], dtype=np.int32)}


def compare_tokens(
    reference: Mapping[str, Array],
    answers: Mapping[str, Array],
    tolerance: Tolerance | None = None,
    *,
    task: TaskMetric | None = None,
    labels: Array | None = None,
    problems: Mapping[str, str] | None = None,
) -> ParityResult:
    """Compare tokens [prompts, steps], padded with NONE, up to each prompt's first tie; the reason has the counts."""
    expected = np.pad(reference[TOKENS], ((0, 0), (0, 1)), constant_values=NONE)
    if problems or TOKENS not in answers or answers[TOKENS].shape != expected.shape:
        return compare({TOKENS: expected}, answers, tolerance, problems=problems)
    margins = np.pad(reference[MARGINS], ((0, 0), (0, 1)), constant_values=np.inf)
    found = continuations({"tokens": expected, "margins": margins}, answers[TOKENS])
    return replace(judge_tokens(found), batch_sizes=())


def watch_iterations(endpoint: Endpoint, entries: tuple[str, ...]) -> Callable[[], tuple[BatchEvidence, ...]]:
    """How many sequences an iteration of the backend decoded since now, on average, by its own counters."""
    before = read_metrics(endpoint.metrics)

    def since() -> tuple[BatchEvidence, ...]:
        after = read_metrics(endpoint.metrics)
        return tuple(_evidence(before, after, entry) for entry in entries)

    return since


def _evidence(before: tuple[Sample, ...], after: tuple[Sample, ...], entry: str) -> BatchEvidence:
    iterations, rows = (_total(after, name, entry) - _total(before, name, entry) for name in (ITERATIONS, ROWS))
    mean = rows / iterations if iterations else 0.0
    return BatchEvidence(model=entry, executions={}, mean_rows=mean)


def _total(samples: tuple[Sample, ...], name: str, entry: str) -> float:
    return sum(s.value for s in samples if s.name == name and s.labels.get("model") == entry)


def _decide(outputs: Mapping[str, Array]) -> Array:
    return outputs[TOKENS]


def _share_equal(decisions: Array, labels: Array) -> float:
    return float((decisions == labels).all(axis=-1).mean())


LLM = Family(
    name="llm",
    inference="generation",
    task=TaskMetric(name="continued alike", decide=_decide, score=_share_equal),
    encoders={},
    slo="ttft=500ms,tpot=100ms",
    max_batch_size=0,
    compare=compare_tokens,
    asking=Asking(
        protocol="sse",
        timeout_s=120.0,
        recognises=generates_text,
        entry=entry_of,
        requests=requests_of,
        questions=questions_of,
        workload=workload_data_from_text,
        certain=certain_answer,
    ),
)
