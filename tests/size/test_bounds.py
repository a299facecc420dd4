"""Bounds from shapes and data sheets: tables of arithmetic, and the catalogue's own consistency."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.errors import ConfigurationError, UsageError
from toolkit.size.catalogue import Accelerator, chosen, read_catalogue
from toolkit.size.llm_config import shape_from_config, shape_from_path
from toolkit.size.llm_shape import LlmShape, bounds_of, llm_bounds
from toolkit.size.roofline import Peak, Work, peak_of, roof_of
from toolkit.size.tables import EmbeddingTable, fit_tables, tables_from_file

#: Llama 3 8B's published configuration.
LLAMA = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
    "model_type": "llama",
}
#: Mixtral 8x7B's.
MIXTRAL = LLAMA | {"vocab_size": 32000, "num_local_experts": 8, "num_experts_per_tok": 2, "model_type": "mixtral"}
GPU = Accelerator(
    memory_gb=80, bandwidth_gb_per_s=2000, tflops={"fp16": 1000.0}, tdp_w=700, source="https://x", date="2026"
)


@pytest.mark.parametrize(
    ("config", "parameters", "active"),
    [(LLAMA, 8.03e9, 7.5e9), (MIXTRAL, 46.7e9, 12.7e9), (LLAMA | {"tie_word_embeddings": True}, 7.5e9, 7.5e9)],
)
def test_parameters_are_those_that_are_published(config: dict, parameters: float, active: float) -> None:
    shape = shape_from_config(config, "config.json")
    assert shape.parameters == pytest.approx(parameters, rel=0.005)
    assert shape.active_parameters == pytest.approx(active, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "bytes_per_token"),
    [
        ({}, 2 * 32 * 8 * 128 * 2),  # 128 KiB in 16 bits
        ({"num_key_value_heads": None}, 2 * 32 * 32 * 128 * 2),
        ({"head_dim": 64}, 2 * 32 * 8 * 64 * 2),
    ],
)
def test_keys_and_values_of_a_token(changes: dict, bytes_per_token: int) -> None:
    assert shape_from_config(LLAMA | changes, "c").kv_bytes_per_token(2) == bytes_per_token


def test_bounds_are_the_arithmetic_that_they_show() -> None:
    shape = shape_from_config(LLAMA, "c")
    found = bounds_of(shape, "g", GPU, precision="fp16", tokens=4096, prompt_tokens=1024)
    weights, per_token = shape.parameters * 2, 131072
    assert found.devices == 1 and found.weight_bytes == weights
    assert found.sequences == int((0.9 * 80e9 - weights) // (4096 * per_token))
    assert found.prefill_tokens_per_s == pytest.approx(1e15 / (2 * shape.active_parameters + 4 * 32 * 32 * 128 * 512))
    read = 2 * shape.active_parameters + found.sequences * 2048 * per_token
    assert (
        found.decode_tokens_per_s == pytest.approx(found.sequences / (read / 2e12))
        and found.decode_limit == "bandwidth"
    )
    assert found.one_stream_tokens_per_s == pytest.approx(2e12 / (2 * shape.active_parameters + 2048 * per_token))
    assert found.ttft_s == pytest.approx(1024 / found.prefill_tokens_per_s)


def test_what_does_not_fit_one_device_is_spread_over_the_fewest() -> None:
    shape = shape_from_config(MIXTRAL, "c")
    spread = bounds_of(shape, "g", GPU, precision="fp16", tokens=4096, prompt_tokens=1024)
    assert spread.devices == 2 and spread.fits and spread.power_w == 1400
    alone = bounds_of(shape, "g", GPU, precision="fp16", tokens=4096, prompt_tokens=1024, devices=1)
    assert not alone.fits and alone.sequences == 0 and alone.decode_tokens_per_s is None


def test_a_precision_without_a_rate_is_computed_in_a_wider_one() -> None:
    found = bounds_of(shape_from_config(LLAMA, "c"), "g", GPU, precision="int4", tokens=64, prompt_tokens=8)
    assert found.computed_in == "fp16" and found.weight_bytes == pytest.approx(8.03e9 / 2, rel=0.005)


def test_a_sliding_window_keeps_less_and_experts_are_read_as_they_are_chosen() -> None:
    window = shape_from_config(LLAMA | {"sliding_window": 1024}, "c")
    assert window.kept_tokens(4096) == 1024
    mixtral = shape_from_config(MIXTRAL, "c")
    one = bounds_of(mixtral, "g", replace(GPU, memory_gb=800), precision="fp16", tokens=64, prompt_tokens=8)
    assert one.one_stream_tokens_per_s == pytest.approx(2e12 / (2 * mixtral.active_parameters), rel=0.01)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "num_attention_heads is None|hidden_size is None"),
        (LLAMA | {"num_hidden_layers": "32"}, "num_hidden_layers is '32'"),
        (LLAMA | {"is_encoder_decoder": True}, "decoder-only"),
    ],
)
def test_a_config_that_bounds_nothing(config: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        shape_from_config(config, "config.json")


def test_a_folder_without_a_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read as a config"):
        shape_from_path(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert isinstance(shape_from_path(tmp_path), LlmShape)


@pytest.mark.parametrize(
    ("changes", "message"), [({"precisions": ("fp12",)}, "fp12"), ({"prompt_tokens": 64}, "leaves")]
)
def test_questions_that_make_no_sense(changes: dict, message: str) -> None:
    asked = {"precisions": ("fp16",), "tokens": 64, "prompt_tokens": 8} | changes
    with pytest.raises(UsageError, match=message):
        llm_bounds(shape_from_config(LLAMA, "c"), {"g": GPU}, **asked)


def test_the_catalogue_has_a_source_for_everything_and_no_sparse_rate() -> None:
    gpus = read_catalogue().gpus
    assert len(gpus) >= 8
    for name, gpu in gpus.items():
        assert gpu.source.startswith("https://www.nvidia.com/") and gpu.date.startswith("202"), name
        fp16 = gpu.tflops["fp16"]
        # Dense tensor rates double with each halving of the operands; a sparse one would be twice as much again.
        assert all(gpu.tflops[p] == pytest.approx(2 * fp16, rel=0.03) for p in ("fp8", "int8") if p in gpu.tflops), name


def test_gpus_are_chosen_by_name() -> None:
    assert list(chosen(read_catalogue(), ("l4", "H100-SXM"))) == ["L4", "H100-SXM"]
    with pytest.raises(UsageError, match="H900 is not in the catalogue; it has T4"):
        chosen(read_catalogue(), ("H900",))


def test_a_figure_without_a_source_is_refused(tmp_path: Path) -> None:
    entry = "{memory_gb: 1, bandwidth_gb_per_s: 1, tflops: {fp16: 1}, tdp_w: 1, source: hearsay, date: 2026-01-01}"
    (tmp_path / "c.yaml").write_text(f"schema: 1\ngpus:\n  X: {entry}\n")
    with pytest.raises(ConfigurationError, match=r"gpus\.X has no source"):
        read_catalogue(tmp_path / "c.yaml")


TABLES = {
    "users": EmbeddingTable(rows=100_000_000, dimension=128, lookups=1),  # 51.2 GB
    "items": EmbeddingTable(rows=10_000_000, dimension=128, lookups=20),  # 5.12 GB
    "hours": EmbeddingTable(rows=24, dimension=16),
}


def test_tables_that_fit_stay_whole() -> None:
    found = fit_tables(TABLES, 80e9)
    assert found.fits_one and found.devices == 1 and {p.cut for p in found.placements} == {"whole"}
    assert found.total_bytes == 100_000_000 * 128 * 4 + 10_000_000 * 128 * 4 + 24 * 16 * 4
    assert found.bytes_per_request == (128 + 20 * 128 + 16) * 4


@pytest.mark.parametrize(
    ("memory_gb", "devices", "cuts"),
    [
        (60, 2, {"users": "table-wise", "items": "table-wise", "hours": "table-wise"}),
        (24, 4, {"users": "row-wise", "items": "table-wise", "hours": "table-wise"}),
    ],
)
def test_tables_that_do_not_are_cut(memory_gb: float, devices: int, cuts: dict) -> None:
    found = fit_tables(TABLES, memory_gb * 1e9)
    assert not found.fits_one and found.devices == devices
    assert {p.table: p.cut for p in found.placements} == cuts
    assert found.bytes_per_device <= found.usable_bytes
    placed = sum(p.bytes_each * len(p.devices) for p in found.placements)
    assert placed == pytest.approx(found.total_bytes, rel=1e-6)
    assert not found.ways[0].possible


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tables: {}", "tables is empty"),
        ("tables: {a: {rows: 0, dimension: 4}}", "must be 1 or more"),
        ("tables: {a: {rows: 4, dimension: 4, precision: fp12}}", "precision is 'fp12'"),
        ("tables: {a: {row: 4, dimension: 4}}", "did you mean 'rows'"),
    ],
)
def test_a_wrong_file_of_tables_names_its_field(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.yaml").write_text(f"schema: 1\n{text}\n")
    with pytest.raises(ConfigurationError, match=message):
        tables_from_file(tmp_path / "t.yaml")


WORK = Work(flops=2e9, weight_bytes=4e6, activation_bytes=1e6)
PEAK = Peak(name="m", flops_per_s=1e12, bytes_per_s=1e9, source="a table", measured=True)


@pytest.mark.parametrize(
    ("batch", "intensity", "rate", "limit"),
    [
        (1, 400, 200, "bandwidth"),  # 2e9 / 5e6 bytes; 1e9 bytes/s / 5e6
        (4, 1000, 500, "bandwidth"),  # both roofs meet
        (64, 2e9 / (62500 + 1e6), 500, "compute"),
    ],
)
def test_a_roof_is_the_lower_one_of_arithmetic_and_memory(
    batch: int, intensity: float, rate: float, limit: str
) -> None:
    roof = roof_of(WORK, PEAK, batch, reached_per_s=100)
    assert (roof.intensity, roof.inferences_per_s) == pytest.approx((intensity, rate))
    assert roof.share == pytest.approx(100 / rate) and (roof.limit == limit or batch == 4)


def test_a_catalogued_peak_has_no_share_and_no_rate_where_the_sheet_names_none() -> None:
    peak = peak_of("g", GPU, "fp16")
    assert peak is not None and not peak.measured and roof_of(WORK, peak, 1).share is None
    assert peak_of("g", GPU, "int4") is None
