"""The joint space, by tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from toolkit.environment import UNKNOWN, Gpu
from toolkit.errors import ConfigurationError
from toolkit.repository.config import with_overrides
from toolkit.repository.model_config import (
    ModelConfig,
    ModelDynamicBatching,
    ModelEnsembling,
    ModelEnsemblingStep,
    ModelInstanceGroup,
    ModelParameter,
)
from toolkit.tune.default_ranges import default_ranges
from toolkit.tune.space import AS_CONFIGURED, Ranges, Setting, Variant, setting_of, space_of

CONFIG = ModelConfig(
    name="net",
    backend="onnxruntime",
    max_batch_size=8,
    instance_group=(ModelInstanceGroup(count=1),),
    dynamic_batching=ModelDynamicBatching(max_queue_delay_microseconds=100),
    parameters={"intra_op_thread_count": ModelParameter(string_value="1")},
)
MACHINE = replace(UNKNOWN, cores=4.0, cpu="a CPU")


def test_what_is_configured_comes_first_and_every_combination_once() -> None:
    ranges = Ranges(max_batch_size=(1, 8), instance_count=(1, 2), max_queue_delay_microseconds=(0, 100))
    space = space_of({"net": CONFIG}, {"net": ranges})
    assert space.names == (
        AS_CONFIGURED,
        "b1-i1-d0-t1",  # requests alone wait for nobody: one delay is enough
        "b8-i1-d0-t1",
        "b1-i2-d0-t1",
        "b8-i2-d0-t1",
        "b8-i2-d100-t1",
    )


def test_a_candidate_is_a_partial_config_that_triton_takes() -> None:
    space = space_of({"net": CONFIG}, {"net": Ranges(max_batch_size=(16,), preferred_batch_size=((), (4, 16)))})
    names = [c.name for c in space.configurations]
    assert names == [AS_CONFIGURED, "b16-i1-d100-t1", "b16-i1-d100-t1-p4"], "a preferred size of the largest is none"
    merged = with_overrides(CONFIG, space.configurations[2].candidate.config["net"])
    assert setting_of(merged) == space.configurations[2].settings["net"]
    assert setting_of(merged) == Setting(max_batch_size=16, instances=1, delay_us=100, preferred=(4,), threads=1)


def test_variants_are_laid_below_the_settings() -> None:
    quick = Variant(
        config={"default_model_filename": "int8.onnx", "parameters": {"execution_mode": 1}}, accuracy_loss=0.01
    )
    ranges = Ranges(instance_count=(2,), variants={"fp32": Variant(), "int8": quick})
    space = space_of({"net": CONFIG}, {"net": ranges})
    assert space.names == (AS_CONFIGURED, "b8-i2-d100-t1-fp32", "b8-i2-d100-t1-int8")
    config = with_overrides(CONFIG, space.configurations[2].candidate.config["net"])
    assert config.default_model_filename == "int8.onnx" and config.parameters["execution_mode"].string_value == "1"
    assert config.parameters["intra_op_thread_count"].string_value == "1"


@pytest.mark.parametrize(
    ("loss", "budget", "kept", "why"),
    [
        (0.01, 0.02, True, ""),
        (0.03, 0.02, False, "it loses 0.03 of accuracy; the budget is 0.02"),
        (None, 0.02, False, "its accuracy was not measured; the budget is 0.02"),
        (None, None, True, ""),
    ],
)
def test_the_accuracy_budget(loss: float | None, budget: float | None, kept: bool, why: str) -> None:
    variant = Variant(config={"default_model_filename": "int8.onnx"}, accuracy_loss=loss)
    space = space_of({"net": CONFIG}, {"net": Ranges(variants={"int8": variant})}, accuracy_budget=budget)
    assert ("b8-i1-d100-t1-int8" in space.names) is kept
    assert [r.reason for r in space.left_out] == ([] if kept else [why])


def test_a_pipeline_takes_no_larger_batch_than_its_parts() -> None:
    steps = tuple(ModelEnsemblingStep(model_name=n) for n in ("decode", "net"))
    pipeline = ModelConfig(name="all", max_batch_size=8, ensemble_scheduling=ModelEnsembling(step=steps))
    entries = {"decode": replace(CONFIG, name="decode"), "net": CONFIG}
    ranges = {"net": Ranges(max_batch_size=(4, 16))}
    space = space_of(entries, ranges, ensembles={"all": pipeline})
    assert [c.candidate.config.get("all") for c in space.configurations[1:]] == [{"max_batch_size": 4}, None]


def test_defaults_follow_the_machine_the_backend_and_the_limit() -> None:
    ranges = default_ranges(CONFIG, MACHINE, 0.05)
    assert ranges.max_batch_size == (1, 4, 8, 16, 32) and ranges.instance_count == (1, 2, 4)
    assert ranges.max_queue_delay_microseconds == (0, 1000, 5000) and ranges.intra_op_thread_count == (1, 4)
    assert default_ranges(replace(CONFIG, backend="tensorrt"), MACHINE, None).max_batch_size == (1, 4, 8)
    assert not default_ranges(replace(CONFIG, max_batch_size=0), MACHINE, 0.05).max_batch_size
    assert not ranges.variants
    gpu = replace(MACHINE, gpus=(Gpu(name="a GPU", memory_bytes=1, driver="1"),))
    assert set(default_ranges(CONFIG, gpu, 0.05).variants) == {"gpu", "tensorrt-fp16", "cpu"}


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"nat": Ranges()}, "search.ranges.nat is not an entry that can vary; there are: net"),
        ({"net": Ranges(instance_count=(0,))}, "instance counts are 1 or more"),
        ({"net": Ranges(max_queue_delay_microseconds=(-1,))}, "delays and threads 0 or more"),
    ],
)
def test_ranges_that_make_no_sense(ranges: dict[str, Ranges], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        space_of({"net": CONFIG}, ranges)


def test_neighbours_are_near_and_what_does_not_vary_is_no_direction() -> None:
    ranges = Ranges(
        max_batch_size=(2, 8, 16), instance_count=(1, 2), variants={"fp32": Variant(), "int8": Variant(config={"a": 1})}
    )
    space = space_of({"net": CONFIG}, {"net": ranges})
    at = {name: dict(zip("bivw", place, strict=False)) for name, place in space.places.items()}
    assert {len(place) for place in space.places.values()} == {4}, "batch, instances, and two variants beside its own"
    assert [at[f"b{b}-i1-d100-t1-int8"]["b"] for b in (2, 8, 16)] == [0.0, 0.5, 1.0]
    assert at["b2-i2-d100-t1-fp32"]["i"] == 1.0 and at["b2-i1-d100-t1-fp32"]["i"] == 0.0
    assert len({(p["v"], p["w"]) for p in at.values()}) == 3, "each variant has a direction of its own"
