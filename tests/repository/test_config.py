from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from toolkit.errors import ConfigurationError
from toolkit.repository import model_config
from toolkit.repository.batching import batching_of
from toolkit.repository.config import ModelConfig, config_from_pbtxt, to_load_json, to_pbtxt, with_overrides
from toolkit.repository.defaults import config_from_signature
from toolkit.repository.model_config import ModelDynamicBatching, ModelParameter
from toolkit.tensor import Signature, TensorSpec, tensor_from_text

GOLDEN = Path(__file__).parent / "digits.pbtxt"
DIGITS = Signature(
    inputs=(tensor_from_text("IMAGE:float32:batch,1,8,8"),),
    outputs=(
        tensor_from_text("LOGITS:float32:batch,10"),
        TensorSpec(name="TOP", dtype="INT64", shape=("batch",)),
    ),
)

FOREIGN = """
name: "speech"  # as someone wrote it
platform: "onnxruntime_onnx"
max_batch_size: 4
input [ { name: "A" data_type: TYPE_FP32 dims: [ -1, 80 ] allow_ragged_batch: true } ]
output { name: "B" data_type: TYPE_STRING dims: -1 }
sequence_batching {
  max_sequence_idle_microseconds: 5000000
  control_input { name: "START" control { kind: CONTROL_SEQUENCE_START int32_false_true: [0, 1] } }
}
instance_group { kind: KIND_GPU gpus: [0, 1] rate_limiter { resources { name: "R" count: 2 } priority: 1 } }
optimization { cuda { graphs: true } execution_accelerators { gpu_execution_accelerator { name: "tensorrt" } } }
metric_tags { key: "team" value: "speech" }
"""


def parsed(text: str) -> Any:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def test_config_of_a_batched_model_is_the_golden() -> None:
    assert to_pbtxt(config_from_signature("digits", DIGITS)) == GOLDEN.read_text()


def test_golden_is_what_triton_reads() -> None:
    message = parsed(GOLDEN.read_text())
    assert message.max_batch_size == 8
    assert [list(o.dims) for o in message.output] == [[10], [1]]
    assert message.output[1].HasField("reshape") and not message.output[1].reshape.shape
    assert {k: v.string_value for k, v in message.parameters.items()}["intra_op_thread_count"] == "0"
    assert [(w.name, w.batch_size) for w in message.model_warmup] == [("batch_1", 1), ("batch_max", 8)]


@pytest.mark.parametrize("text", [GOLDEN.read_text(), FOREIGN], ids=["ours", "foreign"])
def test_nothing_is_lost_between_text_and_value(text: str) -> None:
    config = config_from_pbtxt(text, "config.pbtxt")
    assert config_from_pbtxt(to_pbtxt(config), "again") == config
    assert parsed(to_pbtxt(config)) == parsed(text)
    assert json_format.Parse(to_load_json(config), model_config_pb2.ModelConfig()) == parsed(text)


def test_zero_is_written_out() -> None:
    text = to_pbtxt(ModelConfig(name="m", max_batch_size=0, dynamic_batching=ModelDynamicBatching()))
    assert "max_batch_size: 0\n" in text
    assert "max_queue_delay_microseconds: 0\n" in text
    assert json.loads(to_load_json(ModelConfig(name="m")))["max_batch_size"] == 0


def test_text_is_escaped() -> None:
    config = ModelConfig(name="m", parameters={'a"b': ModelParameter(string_value="é\n\\ '")})
    assert config_from_pbtxt(to_pbtxt(config), "m") == config


def messages_of(config_class: type) -> list[tuple[type, Any]]:
    names = {c.__name__: c for c in vars(model_config).values() if dataclasses.is_dataclass(c)}
    nested = {
        "ModelOptimizationGraph": "ModelOptimizationPolicy.Graph",
        "ModelWarmupInput": "ModelWarmup.Input",
        "ModelEnsemblingStep": "ModelEnsembling.Step",
    }
    pool = model_config_pb2.DESCRIPTOR.pool
    return [(c, pool.FindMessageTypeByName(f"inference.{nested.get(n, n)}")) for n, c in names.items()]


@pytest.mark.parametrize(("value", "message"), messages_of(ModelConfig), ids=lambda v: getattr(v, "__name__", ""))
def test_values_have_exactly_the_fields_of_the_protobuf(value: type, message: Any) -> None:
    assert {f.name for f in dataclasses.fields(value)} == set(message.fields_by_name)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('name: "a"\nmax_batchsize: 3\n', "m:2:1: "),
        ('name: "a"\n\n  max_batch_size: "3"\n', "m:3:19: "),
        ("input { data_type: TYPE_FLOAT }", "m:1:20: "),
        ('name: "a', "m:1:7: "),
    ],
)
def test_bad_text_is_named_by_line_and_column(text: str, place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config_from_pbtxt(text, "m")
    assert caught.value.message.startswith(place)


@pytest.mark.parametrize(
    ("shapes", "max_batch_size", "dims"),
    [
        (("batch,3", "batch,5"), 8, [(3,), (5,)]),
        (("batch,length", "batch,length,5"), 8, [(-1,), (-1, 5)]),
        (("batch", "batch,5"), 8, [(1,), (5,)]),
        (("batch,3", "chosen,5"), 0, [(-1, 3), (-1, 5)]),  # y[mask]: a first axis that varies is not a batch
        (("batch,3", "5"), 0, [(-1, 3), (5,)]),
        (("1,3", "1,5"), 0, [(1, 3), (1, 5)]),
        (("3", ""), 0, [(3,), (1,)]),
        (("N,3", "N,5"), 8, [(3,), (5,)]),  # whatever its name is, when it is one
        (("seq_len,3", "seq_len,5"), 0, [(-1, 3), (-1, 5)]),  # but for a length
        (("dim_0,3", "dim_0,5"), 0, [(-1, 3), (-1, 5)]),  # and one without a name
    ],
)
def test_axis_names_decide_about_batching(shapes: tuple[str, str], max_batch_size: int, dims: list[Any]) -> None:
    inp, out = (tensor_from_text(f"T:float32:{s}") for s in shapes)
    config = config_from_signature("m", Signature(inputs=(inp,), outputs=(out,)))
    assert config.max_batch_size == max_batch_size
    assert [t.dims for t in (*config.input, *config.output)] == dims
    assert (config.dynamic_batching is not None) == (max_batch_size > 0)


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        (("batch,3", "batch"), "every input and output has the first axis 'batch'"),
        (("batch,3", "5"), "the first axis of 'T' is fixed at 5"),
        (("batch,3", ""), "'T' is a scalar"),
        (("batch,3", "chosen,5"), "the first axes differ: 'batch' of 'T', 'chosen' of 'T'"),
        (("tokens,3", "tokens"), "the first axis is named 'tokens', which is a length and not a batch"),
        (("dim_0,3", "dim_0"), "the first axes have no name"),
    ],
)
def test_why_a_model_is_batched_or_not(shapes: tuple[str, str], reason: str) -> None:
    inp, out = (tensor_from_text(f"T:float32:{s}") for s in shapes)
    assert reason in batching_of(Signature(inputs=(inp,), outputs=(out,))).reason


BAG = Signature(
    inputs=(tensor_from_text("IDS:int64:total"), tensor_from_text("COUNTS:int32:batch")),
    outputs=(tensor_from_text("SUM:float32:batch,4"),),
)
COUNTS = {
    "kind": "BATCH_ELEMENT_COUNT",
    "target_name": ["COUNTS"],
    "data_type": "TYPE_INT32",
    "source_input": ["IDS"],
}


def test_a_ragged_input_is_one_axis_and_its_description_is_made_by_triton() -> None:
    config = config_from_signature("bag", BAG, batch_input=(COUNTS,))
    assert [(t.name, t.dims, t.allow_ragged_batch) for t in config.input] == [("IDS", (-1,), True)]
    assert (config.max_batch_size, config.output[0].dims, config.batch_input) == (8, (4,), (COUNTS,))
    assert parsed(to_pbtxt(config)).batch_input[0].target_name == ["COUNTS"]
    assert config_from_signature("bag", BAG).max_batch_size == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source_input": ["COUNT"]}, "'COUNT', which is no input; it has IDS, COUNTS"),
        ({"target_name": ["N"]}, "'N', which is no input"),
        ({"source_input": ["ROWS"]}, r"'ROWS' has shape ['batch', 2]; a ragged input has one axis that varies"),
    ],
)
def test_a_batch_input_must_fit_the_graph(change: dict[str, Any], message: str) -> None:
    bag = dataclasses.replace(BAG, inputs=(*BAG.inputs, tensor_from_text("ROWS:int64:batch,2")))
    if "ROWS" not in message:
        bag = BAG
    with pytest.raises(ConfigurationError) as caught:
        config_from_signature("bag", bag, batch_input=(COUNTS | change,))
    assert message in caught.value.message


def test_inputs_merge_by_name_and_new_ones_are_added() -> None:
    base = config_from_signature("digits", DIGITS)
    new = {"name": "BIAS", "data_type": "TYPE_FP32", "dims": [10], "optional": True}
    config = with_overrides(base, {"input": [{"name": "IMAGE", "format": "FORMAT_NCHW"}, new]})
    assert [(t.name, t.dims, t.format, t.optional) for t in config.input] == [
        ("IMAGE", (1, 8, 8), "FORMAT_NCHW", None),
        ("BIAS", (10,), None, True),
    ]


def test_a_batch_of_zero_gives_whole_dims() -> None:
    config = config_from_signature("m", DIGITS, max_batch_size=0)
    assert [t.dims for t in (*config.input, *config.output)] == [(-1, 1, 8, 8), (-1, 10), (-1,)]
    assert (config.dynamic_batching, config.model_warmup) == (None, ())


def test_batching_without_a_batch_axis_is_refused() -> None:
    fixed = Signature(inputs=DIGITS.inputs, outputs=(tensor_from_text("Y:float32:1,10"),))
    with pytest.raises(ConfigurationError, match="the first axis of 'Y' is fixed at 1"):
        config_from_signature("m", fixed, max_batch_size=4)


@pytest.mark.parametrize(
    ("text", "sizes", "dims"),
    [
        ("X:float32:batch,3", {}, (3,)),
        ("X:int64:batch,length", {"length": 7}, (7,)),
        ("X:int64:batch,length", {}, None),
        ("X:int64:batch,3:1..9", {}, None),
        ("X:string:batch,1", {}, None),
    ],
)
def test_warm_up_only_with_inputs_that_the_model_surely_takes(
    text: str, sizes: dict[str, int], dims: tuple[int, ...] | None
) -> None:
    signature = Signature(inputs=(tensor_from_text(text),), outputs=(tensor_from_text("Y:float32:batch,1"),))
    config = config_from_signature("m", signature, sizes=sizes, max_batch_size=4)
    assert [(w.batch_size, w.inputs["X"].dims) for w in config.model_warmup] == ([(1, dims), (4, dims)] if dims else [])


def test_overrides_merge_replace_and_remove() -> None:
    base = config_from_signature("digits", DIGITS)
    config = with_overrides(
        base,
        {
            "max_batch_size": 4,
            "instance_group": [{"count": 2}],
            "dynamic_batching": {"max_queue_delay_microseconds": 100},
            "parameters": {"intra_op_thread_count": 1, "enable_mem_arena": False},
            "response_cache": None,
            "version_policy": {"all": {}},
        },
    )
    assert (config.max_batch_size, [w.batch_size for w in config.model_warmup]) == (4, [1, 4])
    assert [(g.count, g.kind) for g in config.instance_group] == [(2, "KIND_AUTO")]
    assert config.dynamic_batching == ModelDynamicBatching(max_queue_delay_microseconds=100)
    assert {k: v.string_value for k, v in config.parameters.items()} == {
        "intra_op_thread_count": "1",
        "inter_op_thread_count": "0",
        "execution_mode": "0",
        "enable_mem_arena": "0",
    }
    assert config.response_cache is None
    assert config.version_policy == model_config.ModelVersionPolicy(all={})
    assert config.input == base.input


@pytest.mark.parametrize(
    ("partial", "message"),
    [
        ({"max_batchsize": 3}, "config.max_batchsize is not a field of Triton's ModelConfig; did you mean 'max_batch"),
        ({"dynamic_batching": {"delay": 1}}, "config.dynamic_batching.delay is not a field of Triton's ModelDynamic"),
        ({"parameters": {"a": {"text": "1"}}}, "config.parameters.a.text is not a field of Triton's ModelParameter"),
        ({"instance_group": [{"kind": "GPU"}]}, "instance_group"),
        ({"max_batch_size": "many"}, "max_batch_size"),
    ],
)
def test_a_wrong_override_names_the_field(partial: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        with_overrides(ModelConfig(), partial)
    assert message in caught.value.message
