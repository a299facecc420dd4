"""The text_tokenize and tabular_features steps' own code, called as Triton's stub calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from step_stub import InferenceResponse, Tensor, step_model

from toolkit.repository.entry import add_step

tokenizers = pytest.importorskip("tokenizers", reason="text needs the `huggingface` extra")
WORDS = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "good": 4, "bad": 5, "film": 6}
COLUMNS = [
    {"name": "age", "as": "number", "fill": 40.0, "mean": 40.0, "scale": 10.0},
    {"name": "city", "as": "one_hot", "categories": ["Bern", "Oslo"]},
    {"name": "item", "as": "code", "categories": ["a", "b"], "unknown": 2},
    {"name": "price", "as": "number"},
]


def write_tokenizer(folder: Path, words: dict[str, int] = WORDS) -> Path:
    """A tokenizer of whole words, with the special tokens of BERT."""
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.Lowercase()
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    ids = [(token, words[token]) for token in ("[CLS]", "[SEP]")]
    made.post_processor = tokenizers.processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", ids)
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    return folder


def tokenised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requests: list[list[bytes]], **parameters: Any
) -> list[InferenceResponse]:
    files = write_tokenizer(tmp_path / "files")
    entry = add_step(tmp_path / "m", "text_tokenize", name="t", parameters=parameters, files=files)
    asked = [{"TEXT": Tensor("TEXT", np.array(rows, object).reshape(-1, 1))} for rows in requests]
    answers: list[InferenceResponse] = step_model(entry, monkeypatch).execute(asked)
    return answers


def arrays(response: InferenceResponse) -> dict[str, Any]:
    assert response.error is None, response.error
    return {t.name: t.values for t in response.output_tensors}


def test_rows_are_padded_to_a_bucket_and_the_mask_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [[b"Good film", b"bad"], [b"good good good good film"]]
    short, long = map(arrays, tokenised(tmp_path, monkeypatch, requests, bucket=4))
    assert short["INPUT_IDS"].tolist() == [[2, 4, 6, 3], [2, 5, 3, 0]]
    assert short["ATTENTION_MASK"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert long["INPUT_IDS"].tolist() == [[2, 4, 4, 4, 4, 6, 3, 0]]
    assert all(a.dtype == np.int64 and not a.any() for a in (short["TOKEN_TYPE_IDS"], long["TOKEN_TYPE_IDS"]))


@pytest.mark.parametrize(
    ("parameters", "text", "ids"),
    [
        ({"max_length": 4, "bucket": 32}, b"good bad film good", [2, 4, 5, 3]),
        ({"max_length": 6, "bucket": 4}, b"good bad film good", [2, 4, 5, 6, 4, 3]),
        ({"max_length": 6, "padding": "max"}, b"bad", [2, 5, 3, 0, 0, 0]),
        ({"max_length": 8, "bucket": 2}, b"", [2, 3]),
        ({"max_length": 8, "bucket": 3}, "größe".encode(), [2, 1, 3]),
        ({"max_length": 8, "bucket": 3, "pad_token": "film"}, b"", [2, 3, 6]),
    ],
)
def test_lengths_and_unknown_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any], text: bytes, ids: list[int]
) -> None:
    (answer,) = tokenised(tmp_path, monkeypatch, [[text]], **parameters)
    assert arrays(answer)["INPUT_IDS"].tolist() == [ids]


def test_text_that_is_no_utf8_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = tokenised(tmp_path, monkeypatch, [[b"\xff\xfe"], [b"good"]], bucket=3)
    assert "TEXT is not UTF-8" in str(bad.error)
    assert arrays(good)["INPUT_IDS"].tolist() == [[2, 4, 3]]


def test_a_padding_token_must_be_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match=r"no token <pad>; set the parameter pad_token"):
        tokenised(tmp_path, monkeypatch, [], pad_token="<pad>")


def converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requests: list[list[Any]], **parameters: Any
) -> list[InferenceResponse]:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "features.json").write_text(json.dumps({"columns": COLUMNS}))
    given = {"numbers": 4} | parameters
    entry = add_step(tmp_path / "m", "tabular_features", name="f", parameters=given, files=tmp_path / "files")
    texts = [[r if isinstance(r, bytes) else json.dumps(r).encode() for r in rows] for rows in requests]
    asked = [{"RECORD": Tensor("RECORD", np.array(rows, object).reshape(-1, 1))} for rows in texts]
    answers: list[InferenceResponse] = step_model(entry, monkeypatch).execute(asked)
    return answers


GOOD = {"age": 50, "city": "Oslo", "item": "b", "price": 1.5}


def test_records_become_numbers_and_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [GOOD, GOOD | {"age": None, "city": "Bern", "item": "z", "more": 1}]
    (answer,) = converted(tmp_path, monkeypatch, [rows])
    found = arrays(answer)
    np.testing.assert_allclose(found["FEATURES"], [[1, 0, 1, 1.5], [0, 1, 0, 1.5]])
    assert found["CODES"].tolist() == [[1], [2]]
    assert (found["FEATURES"].dtype, found["CODES"].dtype) == (np.float32, np.int64)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"{", "RECORD row 0: "),
        (b"\xff", "RECORD row 0: "),
        ([1], "expected a JSON object, found list"),
        (GOOD | {"city": "Rome"}, "city is 'Rome', which is none of its categories"),
        (GOOD | {"city": ["Oslo"]}, "city is ['Oslo'], which is none"),
        (GOOD | {"price": "9"}, "price is '9', which is no number"),
        (GOOD | {"price": None}, "price is None, which is no number"),
        (GOOD | {"age": True}, "age is True, which is no number"),
        (json.dumps(GOOD).replace("1.5", "NaN").encode(), "price is nan, which is no number"),
    ],
)
def test_a_wrong_record_fails_alone_and_names_its_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Any, message: str
) -> None:
    bad, good = converted(tmp_path, monkeypatch, [[record], [GOOD]])
    assert message in str(bad.error)
    assert arrays(good)["CODES"].tolist() == [[1]]


def test_unknown_categories_can_be_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (answer,) = converted(tmp_path, monkeypatch, [[GOOD | {"city": "Rome"}]], on_unknown="zero")
    np.testing.assert_allclose(arrays(answer)["FEATURES"], [[1, 0, 0, 1.5]])


def test_the_file_must_be_what_the_configuration_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match=r"makes 4 numbers, the configuration says 3"):
        converted(tmp_path, monkeypatch, [], numbers=3)
