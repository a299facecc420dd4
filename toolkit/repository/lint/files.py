"""Rules on the files of an entry: is the model there, whole, the one that was checked, and inside the repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from toolkit.errors import ConfigurationError
from toolkit.records import digest_of_file
from toolkit.repository.engine_entry import most_rows_of
from toolkit.repository.lint.rule import rule
from toolkit.repository.lint.subject import Subject
from toolkit.repository.provenance import provenance_of
from toolkit.repository.publish import version_folders

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


@rule(
    "TR011",
    "error",
    "The model is not where the server looks for it.",
    "put the model file into every version folder, or set default_model_filename",
)
def missing_model(subject: Subject) -> Iterator[str]:
    versions = version_folders(subject.path)
    if not versions:
        yield "there is no version folder such as 1/"
    if subject.model_filename and not subject.config.is_ensemble:
        for version in versions:
            if not (version / subject.model_filename).exists():
                yield f"{version.name}/{subject.model_filename} is missing"
    for target, filename in subject.config.cc_model_filenames.items():
        for version in versions:
            if not (version / filename).exists():
                yield f"{version.name}/{filename}, for compute capability {target}, is missing"


@rule(
    "TR020",
    "error",
    "The model file cannot be read or holds what Triton cannot serve.",
    "export the model again",
)
def unreadable_model(subject: Subject) -> Iterator[str]:
    if subject.graph_error:
        yield subject.graph_error


@rule(
    "TR071",
    "error",
    "The file is not the model: it is empty, or the pointer that git leaves where LFS was not fetched.",
    "git lfs pull, or copy the file again",
)
def hollow_file(subject: Subject) -> Iterator[str]:
    for version in version_folders(subject.path):
        file = version / subject.model_filename if subject.model_filename else version / "."
        if not file.is_file():
            continue
        with file.open("rb") as opened:
            head = opened.read(len(_LFS_POINTER))
        if not head or head == _LFS_POINTER:
            yield f"{version.name}/{file.name} is {'a Git LFS pointer' if head else 'empty'}"


@rule(
    "TR072",
    "warning",
    "A file was changed after it was added: the parity and the figures on record are not its own.",
    "export the model again and add it: toolkit repo add ARTIFACT --new-version",
)
def changed_model(subject: Subject) -> Iterator[str]:
    try:
        provenance = provenance_of(subject.path)
    except ConfigurationError as err:
        yield err.message
        return
    for name, digest in provenance.files.items() if provenance else ():
        file = subject.path / name
        if file.is_file() and digest_of_file(file) != digest:
            yield f"{name} is not the file that was added"


@rule(
    "TR073",
    "warning",
    "A link that leaves the repository is broken where the repository is copied or mounted.",
    "copy the file into the entry",
)
def link_out(subject: Subject) -> Iterator[str]:
    repository = subject.path.parent.resolve()
    for path in sorted(subject.path.rglob("*")):
        if path.is_symlink() and not path.resolve().is_relative_to(repository):
            yield f"{_relative(path, subject)} leads to {path.resolve()}"


@rule(
    "TR074",
    "error",
    "The engine was not built for such shapes; TensorRT refuses the batch, or Triton the entry.",
    "lower max_batch_size to the profile's, or build the engine again for more",
)
def beyond_profile(subject: Subject) -> Iterator[str]:
    largest = subject.config.max_batch_size
    for version in version_folders(subject.path) if subject.backend == "tensorrt" else ():
        try:
            rows = most_rows_of(version)
        except ConfigurationError as err:
            yield err.message
            continue
        if rows is not None and largest > rows:
            yield f"max_batch_size is {largest}, the engine in {version.name}/ was built for {rows} rows"


def _relative(path: Path, subject: Subject) -> str:
    return path.relative_to(subject.path).as_posix()


RULES = (missing_model, unreadable_model, hollow_file, changed_model, link_out, beyond_profile)
