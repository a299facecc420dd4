"""What is wrong with an ensemble: pure checks of its tensor maps against the configs of its models.

In: the ModelConfig of an ensemble, or of the same pipeline as Business Logic Scripting, and those of the models by
name. Out: one sentence for each thing that Triton would refuse at load or that would fail at the first request. This
module knows no files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from toolkit.errors import ConfigurationError
from toolkit.records import from_data
from toolkit.repository.model_config import ModelConfig, ModelEnsembling, ModelInput, ModelOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A tensor of one step's model: who has it, and its shape with the batch axis as -1."""

    step: int
    tensor: ModelInput | ModelOutput
    model: ModelConfig

    @property
    def shape(self) -> tuple[int, ...]:
        """The whole shape that a request carries."""
        return (-1, *self.tensor.dims) if self.model.max_batch_size > 0 else self.tensor.dims

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"{self.model.name}.{self.tensor.name}"


#: The parameter in which a pipeline as Business Logic Scripting keeps its steps, as JSON of the ensemble's field.
SCHEDULING = "ensemble_scheduling"


def scheduling_of(config: ModelConfig) -> ModelEnsembling | None:
    """The steps of an ensemble, or of the same pipeline as Business Logic Scripting; None for any other model.

    Raises ConfigurationError for a parameter that holds no steps.
    """
    parameter = config.parameters.get(SCHEDULING) if config.backend == "python" else None
    if config.ensemble_scheduling or parameter is None:
        return config.ensemble_scheduling
    where = f"'{config.name}': parameter {SCHEDULING}"
    try:
        data = json.loads(parameter.string_value)
    except ValueError as err:
        raise ConfigurationError(f"{where} is not JSON: {err}") from err
    scheduling: ModelEnsembling = from_data(ModelEnsembling, data, where)
    return scheduling


def composing_models(config: ModelConfig) -> tuple[str, ...]:
    """The models behind a pipeline, each once, in its order; none for any other model. Raises as `scheduling_of`."""
    scheduling = scheduling_of(config)
    steps = scheduling.step if scheduling else ()
    return tuple(dict.fromkeys(s.model_name for s in steps))


def ports(
    scheduling: ModelEnsembling, models: Mapping[str, ModelConfig]
) -> tuple[dict[str, list[Port]], dict[str, list[Port]]]:
    """Who takes and who makes each tensor of an ensemble; steps of unknown models and tensors are left out."""
    takers: dict[str, list[Port]] = {}
    makers: dict[str, list[Port]] = {}
    for index, step in enumerate(scheduling.step):
        model = models.get(step.model_name, ModelConfig())
        for inp in model.input:
            if inp.name in step.input_map:
                takers.setdefault(step.input_map[inp.name], []).append(Port(step=index, tensor=inp, model=model))
        for out in model.output:
            if out.name in step.output_map:
                makers.setdefault(step.output_map[out.name], []).append(Port(step=index, tensor=out, model=model))
    return takers, makers


def ensemble_problems(config: ModelConfig, models: Mapping[str, ModelConfig]) -> tuple[str, ...]:
    """What Triton would refuse about an ensemble, given the configs of its models: one sentence each."""
    scheduling = scheduling_of(config)
    if scheduling is None:
        return ()
    takers, makers = ports(scheduling, models)
    return (
        *_step_problems(config, scheduling, models),
        *_closure_problems(config, takers, makers),
        *_type_problems(config, takers, makers),
        *_order_problems(takers, makers),
    )


def _step_problems(
    config: ModelConfig, scheduling: ModelEnsembling, models: Mapping[str, ModelConfig]
) -> Iterator[str]:
    for step in scheduling.step:
        model = models.get(step.model_name)
        if model is None:
            yield f"there is no model '{step.model_name}' in the repository"
            continue
        # A model that does not batch may stand in a batching ensemble, when its whole shapes fit.
        if 0 < model.max_batch_size < config.max_batch_size:
            yield f"max_batch_size {config.max_batch_size} is above the {model.max_batch_size} of {model.name}"
        required = {t.name for t in model.input if not t.optional}
        yield from (f"input {model.name}.{name} is not connected" for name in sorted(required - set(step.input_map)))
        yield from _unknown(model, "input", step.input_map, model.input)
        yield from _unknown(model, "output", step.output_map, model.output)


def _unknown(
    model: ModelConfig, what: str, mapped: Iterable[str], tensors: tuple[ModelInput | ModelOutput, ...]
) -> Iterator[str]:
    names = [t.name for t in tensors]
    yield from (
        f"{model.name} has no {what} '{name}'; it has {', '.join(names)}" for name in mapped if name not in names
    )


def _closure_problems(
    config: ModelConfig, takers: Mapping[str, list[Port]], makers: Mapping[str, list[Port]]
) -> Iterator[str]:
    inputs = {t.name for t in config.input}
    for name, who in takers.items():
        if name not in makers and name not in inputs:
            yield f"{who[0].label} takes '{name}', which is neither an input nor made by a step"
    for name, who in makers.items():
        if len(who) > 1:
            yield f"'{name}' is made twice, by {who[0].label} and {who[1].label}"
        if name in inputs:
            yield f"'{name}' is an input and also made by {who[0].label}"
    yield from (f"no step takes the input '{t.name}'" for t in config.input if t.name not in takers)
    yield from (f"no step makes the output '{t.name}'" for t in config.output if t.name not in makers)


def _type_problems(
    config: ModelConfig, takers: Mapping[str, list[Port]], makers: Mapping[str, list[Port]]
) -> Iterator[str]:
    for source, sink in _wires(config, takers, makers):
        if source.tensor.data_type != sink.tensor.data_type:
            yield f"{source.label} is {source.tensor.data_type}, {sink.label} is {sink.tensor.data_type}"
        elif not _shapes_agree(source.shape, sink.shape):
            yield f"{source.label} has shape {list(source.shape)}, {sink.label} has {list(sink.shape)}"


def _wires(
    config: ModelConfig, takers: Mapping[str, list[Port]], makers: Mapping[str, list[Port]]
) -> list[tuple[Port, Port]]:
    """Where each tensor comes from and goes to, the ensemble's own inputs and outputs among them."""
    own = [Port(step=-1, tensor=t, model=config) for t in config.input]
    sources = {p.tensor.name: p for p in own} | {name: who[0] for name, who in makers.items()}
    pairs = [(sources[n], taker) for n, who in takers.items() if n in sources for taker in who]
    ends = [Port(step=-1, tensor=t, model=config) for t in config.output]
    return pairs + [(makers[p.tensor.name][0], p) for p in ends if p.tensor.name in makers]


def fixed_lengths(config: ModelConfig, models: Mapping[str, ModelConfig]) -> tuple[str, ...]:
    """Where a tensor of free length goes into a model that takes one length: one sentence each."""
    if config.ensemble_scheduling is None:
        return ()
    takers, makers = ports(config.ensemble_scheduling, models)
    return tuple(
        f"{source.label} has shape {list(source.shape)}, {sink.label} takes {list(sink.shape)}"
        for source, sink in _wires(config, takers, makers)
        if sink.step >= 0
        and _shapes_agree(source.shape, sink.shape)
        and any(a == -1 != b for a, b in zip(source.shape[1:], sink.shape[1:], strict=True))
    )


def _order_problems(takers: Mapping[str, list[Port]], makers: Mapping[str, list[Port]]) -> Iterator[str]:
    """Steps that wait for each other: take away every step whose tensors are there until nothing changes."""
    waits = {p.step: set[int]() for who in (*takers.values(), *makers.values()) for p in who}
    for name, who in takers.items():
        for taker in who:
            waits[taker.step] |= {maker.step for maker in makers.get(name, ())}
    while ready := [step for step, before in waits.items() if not before & waits.keys()]:
        for step in ready:
            del waits[step]
    if waits:
        names = sorted({p.model.name for who in takers.values() for p in who if p.step in waits})
        yield f"the steps wait for each other: {', '.join(names)}"


def _shapes_agree(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return len(one) == len(other) and all(a == b or -1 in (a, b) for a, b in zip(one, other, strict=True))


def decoupled_origins(config: ModelConfig, models: Mapping[str, ModelConfig]) -> dict[str, frozenset[str]]:
    """For each step, by its label, the decoupled models that its inputs originate from.

    Triton matches the responses of one decoupled model only. Source: core, src/ensemble_scheduler/ensemble_utils.cc.
    """
    steps = config.ensemble_scheduling.step if config.ensemble_scheduling else ()
    origins: dict[str, frozenset[str]] = {}
    found: dict[str, frozenset[str]] = {}
    for _ in steps:  # as often as the longest chain of steps
        for number, step in enumerate(steps):
            label = f"step[{number}] {step.model_name}"
            found[label] = frozenset().union(*(origins.get(name, frozenset()) for name in step.input_map.values()))
            policy = models.get(step.model_name, ModelConfig()).model_transaction_policy
            made = frozenset({label}) if policy and policy.decoupled else found[label]
            origins |= dict.fromkeys(step.output_map.values(), made)
    return found
