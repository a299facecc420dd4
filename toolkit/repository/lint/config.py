"""Rules on what a config.pbtxt says of the entry as a whole: its name, backend, versions, cache, metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator

from toolkit.repository.effective import PLATFORMS
from toolkit.repository.lint.rule import rule
from toolkit.repository.lint.subject import Subject
from toolkit.repository.publish import CONFIG_FILE, ENTRY_NAME
from toolkit.repository.versions import served_versions

_TEXTS_AND_COMMENTS = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|#.*""")


@rule(
    "TR001",
    "error",
    "The config.pbtxt does not parse; Triton does not load the entry.",
    "correct the line that is named",
)
def unreadable_config(subject: Subject) -> Iterator[str]:
    if subject.config_error:
        yield subject.config_error


@rule(
    "TR002",
    "error",
    "The name in the config differs from the folder's; Triton does not load the entry.",
    "make `name` the folder's name",
)
def foreign_name(subject: Subject) -> Iterator[str]:
    if subject.config.name != subject.path.name:
        yield f"name is '{subject.config.name}', the folder is '{subject.path.name}'"


@rule(
    "TR003",
    "warning",
    "Without max_batch_size a reader cannot tell 0 from forgotten, and auto-completion may choose one.",
    "write max_batch_size, also when it is 0",
)
def implicit_max_batch_size(subject: Subject) -> Iterator[str]:
    # The parsed message cannot tell 0 from absent.
    if subject.config_text is not None:
        code = _TEXTS_AND_COMMENTS.sub("", subject.config_text)
        if not re.search(r"\bmax_batch_size\s*:", code):
            yield "max_batch_size is not written"


@rule(
    "TR008",
    "remark",
    "Without a server cache it does nothing; with one, repeated requests are not inferences.",
    "start the server with --cache-config, and never measure with it on; or set enable: false",
)
def cache_enabled(subject: Subject) -> Iterator[str]:
    if subject.caches:
        yield "response_cache is enabled"


@rule(
    "TR017",
    "warning",
    "Everything is left to auto-completion, which differs between backends and releases.",
    "write a config.pbtxt; the server's view of it is GET /v2/models/NAME/config",
)
def missing_config(subject: Subject) -> Iterator[str]:
    if subject.config_text is None:
        yield f"there is no {CONFIG_FILE}"


@rule(
    "TR021",
    "error",
    "Triton knows no such pair of platform and backend; it does not load the entry.",
    "write `backend` alone; `platform` is for ensembles and old configurations",
)
def contradictory_backend(subject: Subject) -> Iterator[str]:
    platform, backend = subject.config.platform, subject.config.backend
    if platform == "ensemble" and backend:
        yield f"platform is 'ensemble' and backend '{backend}'; an ensemble has none"
    elif platform in PLATFORMS and backend and backend != PLATFORMS[platform]:
        yield f"platform '{platform}' belongs to backend '{PLATFORMS[platform]}', not to '{backend}'"
    elif platform and not backend and platform not in {*PLATFORMS, "ensemble"}:
        yield f"platform '{platform}' is not one of Triton's, and no backend is named"


@rule(
    "TR022",
    "warning",
    "Without a backend Triton guesses it from the files, and a server without auto-completion refuses the entry.",
    "write `backend`",
)
def missing_backend(subject: Subject) -> Iterator[str]:
    config = subject.config
    if subject.config_text is not None and not (config.backend or config.platform or config.is_ensemble):
        yield "neither backend nor platform is written"


@rule(
    "TR023",
    "error",
    "The version policy asks for versions that are not there; Triton serves fewer, or none.",
    "name versions that have a folder, or use latest { num_versions: 1 }",
)
def absent_versions(subject: Subject) -> Iterator[str]:
    policy, there = subject.config.version_policy, subject.versions
    specific = policy.specific.get("versions", ()) if policy and policy.specific else ()
    yield from (f"version_policy names version {v}; there are {list(there)}" for v in specific if v not in there)
    if policy and policy.latest is not None and policy.latest.get("num_versions", 0) < 1:
        yield "version_policy says the latest 0 versions"
    elif there and not served_versions(subject.config, there) and not specific:
        yield f"version_policy serves none of the versions {list(there)}"


@rule(
    "TR024",
    "warning",
    "Triton ignores version folders whose names are not plain positive numbers.",
    "rename the folder to a number without leading zeros, or move it out of the entry",
)
def ignored_version_folder(subject: Subject) -> Iterator[str]:
    for path in sorted(subject.path.iterdir()):
        is_version = path.name.isdigit() or re.fullmatch(r"v\d+|-\d+|latest", path.name)
        if path.is_dir() and is_version and not re.fullmatch(r"[1-9]\d*", path.name):
            yield f"the folder {path.name}/ is not served"


@rule(
    "TR025",
    "error",
    "Triton refuses a response cache for models whose answers depend on more than the request.",
    "set response_cache { enable: false }",
)
def impossible_cache(subject: Subject) -> Iterator[str]:
    if subject.caches and subject.config.sequence_batching is not None:
        yield "response_cache is enabled with sequence_batching"
    if subject.caches and subject.is_decoupled:
        yield "response_cache is enabled on a decoupled model"


@rule(
    "TR026",
    "warning",
    "A decoupled model is reached by gRPC streams only, though this backend gives one response to a request.",
    "remove model_transaction_policy, or stream from a python backend",
)
def needlessly_decoupled(subject: Subject) -> Iterator[str]:
    if subject.is_decoupled and subject.backend in ("onnxruntime", "tensorrt", "openvino"):
        yield f"decoupled is set on the {subject.backend} backend"


@rule(
    "TR027",
    "error",
    "Triton refuses histograms without a family or without buckets.",
    "give metric_identifier.family and histogram_options.buckets",
)
def incomplete_metrics(subject: Subject) -> Iterator[str]:
    for number, control in enumerate((subject.config.model_metrics or {}).get("metric_control", ())):
        if not control.get("metric_identifier", {}).get("family"):
            yield f"model_metrics.metric_control[{number}] names no family"
        if not control.get("histogram_options", {}).get("buckets"):
            yield f"model_metrics.metric_control[{number}] has no buckets"


@rule(
    "TR028",
    "warning",
    "The name does not fit one segment of a URL; clients have to escape it, and some cannot reach it.",
    "use letters, digits, '.', '_' and '-', starting with a letter or digit",
)
def unusual_name(subject: Subject) -> Iterator[str]:
    if not ENTRY_NAME.fullmatch(subject.path.name):
        yield f"the entry is called '{subject.path.name}'"


RULES = (
    unreadable_config,
    foreign_name,
    implicit_max_batch_size,
    cache_enabled,
    missing_config,
    contradictory_backend,
    missing_backend,
    absent_versions,
    ignored_version_folder,
    impossible_cache,
    needlessly_decoupled,
    incomplete_metrics,
    unusual_name,
)
