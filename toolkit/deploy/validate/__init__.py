"""Whether the files of a bundle are what they claim to be, each judged by the parser that will read it.

In: a Bundle in memory, or the folder of a written one. Out: one Finding per tool, file and document; a tool that is
absent is `skipped` with its reason. Nothing of the bundle is started and no network is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from toolkit.deploy.bundle import Bundle
from toolkit.deploy.validate import kubernetes
from toolkit.deploy.validate.checkov import run_checkov
from toolkit.deploy.validate.crds import check_operator_object
from toolkit.deploy.validate.documents import Object, kubernetes_objects
from toolkit.deploy.validate.expressions import check_object_metrics, metrics_of_lock
from toolkit.deploy.validate.finding import Finding, is_failed, judged, refuse_unsound
from toolkit.deploy.validate.kustomize import compare_renderings
from toolkit.deploy.validate.parsers import is_read, parse_all
from toolkit.deploy.validate.rules import check_object
from toolkit.deploy.validate.tools import run_tools
from toolkit.errors import ConfigurationError

__all__ = ["Finding", "is_failed", "refuse_unsound", "validate_bundle", "validate_folder"]

_CORE = f"Kubernetes {kubernetes.RELEASES[0]} to {kubernetes.RELEASES[-1]}, strict"


def validate_bundle(bundle: Bundle) -> tuple[Finding, ...]:
    """What the parsers of this process say about a bundle that is not yet written."""
    copied = {path: copy.source.read_bytes() for path, copy in bundle.copies.items() if is_read(path)}
    generated = {path: content for path, content in bundle.files.items() if is_read(path)}
    return tuple(_judge({**generated, **copied}))


def validate_folder(folder: Path) -> tuple[Finding, ...]:
    """What every parser and tool that is here says about a written bundle. Raises ConfigurationError for any other."""
    if not (folder / "bundle.lock.json").is_file():
        raise ConfigurationError(
            f"{folder} is not a bundle: it has no bundle.lock.json", mend="toolkit deploy RUN --output DIR writes one"
        )
    folder = folder.resolve()  # programs are started within it, and some are told its path
    paths = (p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file())
    contents = {path: (folder / path).read_bytes() for path in paths if is_read(path)}
    return (*_judge(contents), *run_tools(folder), *compare_renderings(folder), *run_checkov(folder))


def _judge(contents: Mapping[str, str | bytes]) -> Iterator[Finding]:
    texts = {}
    for path, content in contents.items():
        try:
            texts[path] = content.decode() if isinstance(content, bytes) else content
        except UnicodeDecodeError as err:
            yield Finding(tool="UTF-8", file=path, outcome="failed", reason=str(err))
    documented = metrics_of_lock(texts.get("bundle.lock.json", ""))
    yield from parse_all(texts, documented)
    for subject in kubernetes_objects(texts):
        yield from _judge_object(subject, documented)


def _judge_object(subject: Object, documented: frozenset[str]) -> Iterator[Finding]:
    of = partial(judged, file=subject.file, document=subject.name)
    tool, check = (
        (_CORE, kubernetes.check_core_object)
        if kubernetes.is_core(subject)
        else ("field table of the operator", check_operator_object)
    )
    if kubernetes.is_here():
        yield of(tool, check=partial(check, subject))
    else:
        absent = "kubernetes-validate is not installed: pip install 'poc-toolkit[validate]'"
        yield Finding(tool=tool, file=subject.file, document=subject.name, outcome="skipped", reason=absent)
    yield of("Kubernetes names and references", check=partial(check_object, subject))
    yield of("known metrics", check=partial(check_object_metrics, subject, documented))
