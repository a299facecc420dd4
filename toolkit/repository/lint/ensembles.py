"""Rules on ensembles: their tensor maps, the versions and models behind them, what an ensemble cannot have."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.repository.ensemble import composing_models, decoupled_origins, ensemble_problems, fixed_lengths
from toolkit.repository.lint.rule import rule
from toolkit.repository.lint.subject import Subject


@rule(
    "TR006",
    "error",
    "The ensemble's tensors do not close over its models; Triton does not load it.",
    "correct the step's input_map and output_map",
)
def open_ensemble(subject: Subject) -> Iterator[str]:
    yield from ensemble_problems(subject.config, subject.models)


@rule(
    "TR061",
    "error",
    "An ensemble only passes tensors on; Triton refuses one with instances, optimisation, warm-up or batching.",
    "remove what is named; set it on the composing models",
)
def impossible_ensemble(subject: Subject) -> Iterator[str]:
    config = subject.config
    if not config.is_ensemble:
        if config.platform == "ensemble":
            yield "platform is 'ensemble', and there is no ensemble_scheduling"
        return
    if config.platform != "ensemble":
        yield f"ensemble_scheduling with platform '{config.platform}'"
    unwanted = {
        "instance_group": config.instance_group,
        "optimization": config.optimization,
        "model_warmup": config.model_warmup,
    }
    yield from (f"{name} is set on an ensemble" for name, value in unwanted.items() if value)
    if config.ensemble_scheduling and not config.ensemble_scheduling.step:
        yield "ensemble_scheduling has no step"


@rule(
    "TR062",
    "error",
    "Ensembles that contain each other can never be loaded.",
    "take one of them out of the other's steps",
)
def circular_ensembles(subject: Subject) -> Iterator[str]:
    seen: set[str] = set()
    waiting = list(composing_models(subject.config))
    while waiting:
        name = waiting.pop()
        if name not in seen and name in subject.models:
            seen.add(name)
            waiting += composing_models(subject.models[name])
    if subject.path.name in seen:
        others = ", ".join(sorted(seen - {subject.path.name}))
        yield f"'{subject.path.name}' contains itself, by way of {others or 'a step'}"


@rule(
    "TR063",
    "error",
    "The step names a version that is not served; requests to the ensemble fail.",
    "use model_version -1, the latest that is served, or serve that version",
)
def absent_model_version(subject: Subject) -> Iterator[str]:
    scheduling = subject.config.ensemble_scheduling
    for step in scheduling.step if scheduling else ():
        served = subject.served.get(step.model_name)
        if served is not None and step.model_version > 0 and step.model_version not in served:
            yield f"version {step.model_version} of {step.model_name}; served are {list(served)}"


@rule(
    "TR064",
    "warning",
    "The ensemble answers one request with any number of responses, so only gRPC streams reach it.",
    "stream from the client, or use a model that is not decoupled",
)
def decoupled_ensemble(subject: Subject) -> Iterator[str]:
    for name in composing_models(subject.config):
        policy = subject.models[name].model_transaction_policy if name in subject.models else None
        if policy and policy.decoupled:
            yield f"its model {name} is decoupled"


@rule(
    "TR065",
    "error",
    "Responses of two decoupled models cannot be matched in one step; Triton does not load the ensemble.",
    "feed the step from one decoupled model only",
)
def several_decoupled_origins(subject: Subject) -> Iterator[str]:
    for name, origins in decoupled_origins(subject.config, subject.models).items():
        if len(origins) > 1:
            yield f"{name} takes tensors that originate from {' and '.join(sorted(origins))}"


@rule(
    "TR066",
    "warning",
    "Triton compares free lengths at every request only: of all lengths but one, requests fail.",
    "export the model with that axis named, or make the step before give one length (padding: max)",
)
def length_of_one_kind(subject: Subject) -> Iterator[str]:
    yield from fixed_lengths(subject.config, subject.models)


RULES = (
    length_of_one_kind,
    open_ensemble,
    impossible_ensemble,
    circular_ensembles,
    absent_model_version,
    decoupled_ensemble,
    several_decoupled_origins,
)
