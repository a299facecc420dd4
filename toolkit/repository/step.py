"""What a python-backend step needs and gives, as its step.yaml declares it, and the configuration that follows.

In: a step's name and parameters. Out: its files and a ModelConfig. The step's code is never imported here.
A size in `dims` is a number, the name of an integer parameter, or a name of `sizes`, which follows from a choice.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from toolkit.errors import UsageError
from toolkit.records import from_data, read_yaml
from toolkit.repository.defaults import LATEST
from toolkit.repository.model_config import (
    ModelConfig,
    ModelDynamicBatching,
    ModelInput,
    ModelInstanceGroup,
    ModelOutput,
    ModelParameter,
    ModelResponseCache,
)

STEPS = Path(__file__).parent / "steps"
MODEL_FILE = "model.py"
REQUIREMENTS_FILE = "requirements.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepParameter:
    """A parameter; without a default it must be given. `numbers` are separated by commas: one, or one `per` size."""

    type: Literal["integer", "number", "numbers", "text"]
    text: str
    default: str | None = None
    choices: tuple[str, ...] = ()
    per: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeByChoice:
    """A length that follows from the value of a parameter."""

    parameter: str
    values: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTensor:
    """An input or output without its batch axis; `optional` is for inputs."""

    name: str
    data_type: str
    dims: tuple[int | str, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step.yaml. `files` lie beside the step's code, and whoever adds the step brings them."""

    description: str
    max_batch_size: int
    parameters: dict[str, StepParameter]
    input: tuple[StepTensor, ...]
    output: tuple[StepTensor, ...]
    sizes: dict[str, SizeByChoice] = field(default_factory=dict)
    files: tuple[str, ...] = ()


def step_folder(step: str) -> Path:
    """Where the files of a step lie. Raises UsageError for an unknown step."""
    names = sorted(p.parent.name for p in STEPS.glob("*/step.yaml"))
    if step not in names:
        raise UsageError(f"there is no step named '{step}'", mend=f"use one of: {', '.join(names)}")
    return STEPS / step


def read_step(step: str) -> Step:
    """What a step declares. Raises UsageError for an unknown step."""
    declared: Step = from_data(Step, read_yaml(step_folder(step) / "step.yaml"), f"step {step}")
    return declared


def config_from_step(step: str, name: str, parameters: Mapping[str, Any]) -> ModelConfig:
    """The configuration of an entry that runs the step, every parameter written out.

    KIND_CPU even where a step uses a GPU: KIND_AUTO would start `count` copies for each GPU and hold a CUDA context
    in every one. Raises UsageError for a parameter that is unknown, missing or of the wrong type.
    """
    declared = read_step(step)
    values = _values(step, declared, parameters)
    return ModelConfig(
        name=name,
        backend="python",
        max_batch_size=declared.max_batch_size,
        default_model_filename=MODEL_FILE,
        version_policy=LATEST,
        input=tuple(
            ModelInput(
                name=t.name,
                data_type=t.data_type,
                dims=_dims(t, declared, values),
                optional=t.optional or None,
            )
            for t in declared.input
        ),
        output=tuple(
            ModelOutput(name=t.name, data_type=t.data_type, dims=_dims(t, declared, values)) for t in declared.output
        ),
        instance_group=(ModelInstanceGroup(count=1, kind="KIND_CPU"),),
        dynamic_batching=ModelDynamicBatching(max_queue_delay_microseconds=0),
        parameters={k: ModelParameter(string_value=v) for k, v in values.items()},
        response_cache=ModelResponseCache(enable=False),
    )


def _dims(tensor: StepTensor, step: Step, values: Mapping[str, str]) -> tuple[int, ...]:
    return tuple(d if isinstance(d, int) else _size(d, step, values) for d in tensor.dims)


def _size(name: str, step: Step, values: Mapping[str, str]) -> int:
    choice = step.sizes.get(name)
    return choice.values[values[choice.parameter]] if choice else int(values[name])


def _values(name: str, step: Step, given: Mapping[str, Any]) -> dict[str, str]:
    for key in given:
        if key not in step.parameters:
            close = difflib.get_close_matches(key, step.parameters, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"it has: {', '.join(step.parameters)}"
            raise UsageError(f"step {name}: '{key}' is not a parameter; {hint}")
    places = {key: f"step {name}: {key}" for key in step.parameters}
    values = {key: _value(places[key], p, given.get(key, p.default)) for key, p in step.parameters.items()}
    for key, parameter in step.parameters.items():
        count = values[key].count(",") + 1
        if parameter.per and count not in (1, _size(parameter.per, step, values)):
            raise UsageError(f"{places[key]} has {count} numbers", mend=f"give one, or one for each of {parameter.per}")
    return values


def _value(where: str, parameter: StepParameter, given: Any) -> str:
    if given is None:
        raise UsageError(f"{where} is missing", mend=f"give {parameter.text}")
    text = ",".join(str(v) for v in given) if isinstance(given, list | tuple) else str(given)
    if not _is_valid(parameter, text):
        expected = f"one of {', '.join(parameter.choices)}" if parameter.choices else parameter.type
        raise UsageError(f"{where} is {given!r}; expected {expected}", mend=f"give {parameter.text}")
    return text


def _is_valid(parameter: StepParameter, text: str) -> bool:
    if parameter.choices:
        return text in parameter.choices
    parts = text.split(",") if parameter.type == "numbers" else [text]
    try:
        numbers = [] if parameter.type == "text" else [float(p) for p in parts]
    except ValueError:
        return False
    return parameter.type != "integer" or (text.isdigit() and numbers[0] > 0)
