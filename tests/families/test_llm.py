"""Language models: prompts as long as asked for, parity by greedy tokens, and whether sequences went together."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generation_stub import INPUTS, generating
from tiny_llm import DESCRIBED, make_folder

from toolkit.errors import ConfigurationError, UsageError
from toolkit.families import FAMILIES, family_of_entry
from toolkit.families.asking import Asked
from toolkit.families.llm import LLM, MARGINS, TOKENS, certain_answer, compare_tokens, questions_of, requests_of
from toolkit.families.prompts import TokenizerFile, Words, prose, texts_of
from toolkit.load.workload import prompts_of, workload_data_from_text, workload_from_data
from toolkit.models.language_model import LANGUAGE_MODEL_FILE
from toolkit.poc import read_poc
from toolkit.records import write_json
from toolkit.serve.server import Endpoint
from toolkit.workflow.live_parity import check_live_parity
from toolkit.workflow.scaffold import new_poc

ENTRY = Asked(name="llm", inputs=frozenset(name for name, _ in INPUTS), context=512, folder=None)
END = 1
MODEL = replace(DESCRIBED, vocabulary_size=600, end_token_ids=(END,))


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizers = pytest.importorskip("tokenizers", reason="prompts by tokens need the `llm` extra")
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator([prose()[:60_000]], vocab_size=600, show_progress=False)
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_prompts_have_the_tokens_that_were_asked_for_and_begin_alike(tokenizer_folder: Path) -> None:
    prompts = prompts_of(workload_from_data({"input": "30..90", "output": 8, "shared": 20, "requests": 30}, "w"))
    tokenizer = TokenizerFile(tokenizer_folder)
    texts = texts_of(prompts, tokenizer)
    assert [len(tokenizer.encode(text)) for text in texts] == [prompt.input_tokens for prompt in prompts]
    assert len({text[:30] for text in texts}) == 1 and len(set(texts)) == 30
    assert texts == texts_of(prompts, tokenizer)


def test_a_word_is_a_token_without_a_tokenizer() -> None:
    prompts = prompts_of(workload_from_data({"input": "5..9", "output": 8}, "w"))
    assert [len(text.split()) for text in texts_of(prompts, Words())] == [p.input_tokens for p in prompts]


def test_a_prompt_longer_than_the_context_is_refused_before_it_is_sent() -> None:
    with pytest.raises(UsageError, match="prompt of 500 tokens and asks for 64; the context holds 512"):
        requests_of(ENTRY, workload_data_from_text("input=500,output=64"), "sse")


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"has no tokenizer\.json"):
        TokenizerFile(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="is no tokenizer"):
        TokenizerFile(tmp_path)


@pytest.mark.parametrize("protocol", ["sse", "grpc-stream"])
def test_requests_are_greedy_and_as_long_as_the_workload_says(protocol: str) -> None:
    requests = requests_of(ENTRY, {"input": 8, "output": "4..6", "requests": 12}, protocol)  # type: ignore[arg-type]
    assert len(set(requests)) == 12
    if protocol == "sse":
        body = json.loads(requests[0].partition(b"\r\n\r\n")[2])
        sampling = json.loads(body["sampling_parameters"])
        assert sampling["ignore_eos"] and sampling["temperature"] == 0 and 4 <= sampling["max_tokens"] <= 6
        assert body["stream"] and len(body["text_input"].split()) == 8
    else:
        assert b"sampling_parameters" in requests[0] and b'"ignore_eos": true' in requests[0]


def compared(tokens: list[list[int]], margins: list[list[float]] | None = None) -> tuple[bool, str]:
    """The verdict on `tokens` where 1 2 3 was expected of the first prompt, and 4 5 of the second."""
    expected = np.array([[1, 2, 3], [4, 5, -1]], np.int32)
    reference = {TOKENS: expected, MARGINS: np.array(margins or [[1.0] * 3] * 2)}
    result = compare_tokens(reference, {TOKENS: np.array(tokens, np.int32)})
    return result.passed, result.reason


def test_tokens_are_compared_up_to_the_first_tie() -> None:
    assert compared([[1, 2, 3, -1], [4, 5, -1, -1]]) == (
        True, "5 greedy tokens of 2 prompts compared, 0 prompts differ, 0 end in a tie"
    )  # fmt: skip
    passed, reason = compared([[1, 9, 9, -1], [4, 5, -1, -1]])
    assert not passed and reason.startswith("prompt 0 differs at token 1; ") and "1 prompts differ" in reason
    tie = [[1.0, 5e-5, 1.0], [1.0] * 3]
    assert compared([[1, 9, 9, 9], [4, 5, -1, -1]], tie) == (
        True, "3 greedy tokens of 2 prompts compared, 0 prompts differ, 1 end in a tie"
    )  # fmt: skip
    assert not compared([[9, 9, 9, -1], [4, 5, -1, -1]], tie)[0]


@pytest.mark.parametrize(
    "wrong", [[[1, 2, -1, -1], [4, 5, -1, -1]], [[1, 2, 3, -1], [4, 5, 6, -1]], [[1, 2, 3, 4], [4, 5, -1, -1]]]
)
def test_too_few_and_too_many_tokens_differ(wrong: list[list[int]]) -> None:
    assert not compared(wrong)[0]


def write_reference(folder: Path, prompts: int = 12, steps: int = 8) -> None:
    """What the exporter leaves, of a model that says what the stub says."""
    tokens = np.tile(np.arange(steps) % 6, (prompts, 1)).astype(np.int32)
    np.savez(folder / "reference.npz", tokens=tokens, margins=np.ones((prompts, steps), np.float32))
    (folder / "prompts.json").write_text(json.dumps([f"prompt {n}" for n in range(prompts)]))


@pytest.mark.parametrize(("rows", "outcome"), [(4.0, "PASS"), (1.0, "INVALID")])
def test_live_parity_is_invalid_unless_sequences_went_together(tmp_path: Path, rows: float, outcome: str) -> None:
    write_reference(tmp_path)
    with generating(rows=rows) as stub:
        endpoint = Endpoint(http=stub.address, metrics=stub.address)
        live = check_live_parity(endpoint, ("llm",), questions_of(ENTRY, tmp_path), clients=8)
    assert live.outcome == outcome, live.reason
    assert live.evidence[0].mean_rows == pytest.approx(rows)
    assert live.result is not None and "12 prompts compared, 0 prompts differ" in live.result.reason
    lengths = {json.loads(asked["sampling_parameters"])["max_tokens"] for asked in stub.asked}
    assert len(lengths) > 2  # so that some leave while others join


def test_live_parity_fails_on_another_token(tmp_path: Path) -> None:
    write_reference(tmp_path)
    arrays = dict(np.load(tmp_path / "reference.npz"))
    arrays["tokens"][3, 2] += 1
    np.savez(tmp_path / "reference.npz", **arrays)
    with generating() as stub:
        endpoint = Endpoint(http=stub.address, metrics=stub.address)
        live = check_live_parity(endpoint, ("llm",), questions_of(ENTRY, tmp_path), clients=8)
    assert live.outcome == "FAIL" and "prompt 3 differs at token 2" in live.reason


@pytest.mark.parametrize(
    ("margin", "prompt", "tokens"),
    [(0.5, "second", [5, 6, 7]), (0.05, "first", [2, 3, 4, 5]), (5.0, "first", [])],
)
def test_the_certain_answer_is_the_longest_one_that_a_margin_leaves(
    tokenizer_folder: Path, tmp_path: Path, margin: float, prompt: str, tokens: list[int]
) -> None:
    shutil.copy(tokenizer_folder / "tokenizer.json", tmp_path)
    write_json(tmp_path / LANGUAGE_MODEL_FILE, MODEL)
    (tmp_path / "prompts.json").write_text('["first", "second"]')
    np.savez(
        tmp_path / "reference.npz",
        tokens=np.array([[2, 3, 4, 5], [5, 6, 7, END]], np.int32),
        margins=np.array([[1.0, 1.0, 0.1, 1.0], [1.0, 0.6, 0.5, 1.0]], np.float32),
        prompt_ids=np.array([[2, 3], [4, 0]], np.int32),
        prompt_lengths=np.array([2, 1], np.int32),
    )
    answer = certain_answer(tmp_path, margin)
    assert (answer.prompt, list(answer.token_ids)) == (prompt, tokens)
    decode = TokenizerFile(tmp_path).decode
    before = {"first": [2, 3], "second": [4]}[prompt]
    assert decode(before) + answer.text == decode([*before, *tokens])


def test_an_entry_is_recognised_by_its_inputs() -> None:
    assert family_of_entry({"input": [{"name": "text_input"}]}) is LLM is FAMILIES["llm"]
    assert family_of_entry({"input": [{"name": "x"}]}) is None


def test_a_new_poc_of_a_folder_is_one_that_is_asked_by_a_workload(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="a folder is made by PyTorch")
    model = make_folder(tmp_path / "model")
    poc = read_poc(new_poc("acme", "llm", str(model), root=tmp_path / "pocs"))
    assert (poc.family, poc.measured, poc.file.models["acme"].config) == (LLM, "acme", {})
    assert prompts_of(workload_from_data(poc.workload, "workload"))[0].output_tokens == 64
    assert [candidate.name for candidate in poc.candidates] == ["as-configured"]
