"""A repository delivered as an OCI image layout: a folder that every registry tool can copy to a registry.

Layers are tar archives, one for each version folder and one for what lies beside them, made the same bytes for the same
files: a version that does not change is a layer that is not sent again. Each push is a manifest of its own, tagged with
the first twelve digits of its state; the tag that was asked for, `latest` when none was, moves to it.
Source: opencontainers/image-spec 1.1, image-layout.md, manifest.md, config.md, layer.md.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from toolkit.errors import EnvironmentProblem, RepositoryError, UsageError
from toolkit.records import digest_of_file, write_bytes, writing
from toolkit.repository.publish import LOCK_FILE
from toolkit.repository.push.lock import NOTES_FILE, Delivery, PushLock, lock_from_json, lock_json, lock_of, notes
from toolkit.repository.push.plan import Plan, Planned

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
TAG = "org.opencontainers.image.ref.name"
_LAYOUT_FILE, _INDEX_FILE = "oci-layout", "index.json"
_MODE, _FOLDER_MODE = 0o644, 0o755


def push_oci(plan: Plan, text: str) -> Delivery:
    """Add the repository as an image to the layout `DIR[:TAG]`, which is made when it is absent; see `push`."""
    folder, tag = _folder_and_tag(text, plan.repository)
    earlier, index = _earlier(folder)
    write_bytes(folder / _LAYOUT_FILE, b'{"imageLayoutVersion": "1.0.0"}\n')
    write_bytes(folder / LOCK_FILE, lock_json(lock_of(plan, earlier, complete=False)))
    layers = [_write_layer(folder, files) for files in _layers(plan)]
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": _rootfs(layers)}
    described = _write_json(folder, CONFIG, config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described,
        "layers": [{k: layer[k] for k in ("mediaType", "digest", "size")} for layer in layers],
        "annotations": {"org.opencontainers.image.version": plan.sha256[:12]},
    }
    _verify(folder, [described, *layers])
    write_bytes(folder / _INDEX_FILE, _index(index, _write_json(folder, MANIFEST, manifest), (plan.sha256[:12], tag)))
    lock = lock_of(plan, earlier, complete=True)
    write_bytes(folder / NOTES_FILE, notes(lock, f"oci:{folder}", back=_back(lock, folder, tag)))
    write_bytes(folder / LOCK_FILE, lock_json(lock))
    new = [layer for layer in layers if layer["new"]]
    return Delivery(
        destination=f"oci:{folder}:{tag}",
        sha256=plan.sha256,
        entries=plan.entries,
        sent=len(new),
        sent_bytes=sum(layer["size"] for layer in new),
        kept=len(layers) - len(new),
        removed=0,
        previous_sha256=lock.previous_sha256,
    )


def _folder_and_tag(text: str, repository: Path) -> tuple[Path, str]:
    place, colon, tag = text.rpartition(":")
    place, tag = (place, tag) if colon and "/" not in tag else (text, "latest")
    folder = Path(place).resolve()
    if not place or not tag or folder.is_relative_to(repository.resolve()):
        raise UsageError(f"'oci:{text}' is no place for a layout", mend="write it as oci:DIR or oci:DIR:TAG")
    return folder, tag


def _earlier(folder: Path) -> tuple[PushLock | None, list[dict[str, Any]]]:
    """The lock and the manifests that lie there. Raises RepositoryError for a folder that is no layout of ours."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None, []
    if not (folder / _LAYOUT_FILE).is_file() or not (folder / LOCK_FILE).is_file():
        raise RepositoryError(f"{folder} is not empty and no layout of ours", mend="name an empty or new folder")
    lock = lock_from_json((folder / LOCK_FILE).read_bytes(), str(folder))
    file = folder / _INDEX_FILE
    return lock, json.loads(file.read_bytes())["manifests"] if file.is_file() else []


def _layers(plan: Plan) -> list[list[Planned]]:
    """The files by layer: of each version folder, and of each entry beside these."""
    groups: dict[str, list[Planned]] = {}
    for file in sorted(plan.files, key=lambda f: f.name):
        entry, *inner = file.name.split("/")
        groups.setdefault(f"{entry}/{inner[0]}" if len(inner) > 1 else entry, []).append(file)
    return list(groups.values())


def _write_layer(folder: Path, files: list[Planned]) -> dict[str, Any]:
    """The descriptor of a layer, whose blob is written unless it is there. Made twice: for its digest and its bytes."""
    counted = _Digested()
    _write_tar(counted, files)
    descriptor = {"mediaType": LAYER, "digest": f"sha256:{counted.hexdigest()}", "size": counted.size}
    blob = _blob(folder, descriptor)
    is_new = not (blob.is_file() and digest_of_file(blob) == counted.hexdigest())
    if is_new:
        work = blob.with_name(f".{blob.name}.partial")
        with writing(blob):
            blob.parent.mkdir(parents=True, exist_ok=True)
            with work.open("wb") as opened:
                _write_tar(opened, files)
            work.replace(blob)
    return descriptor | {"new": is_new}


def _write_tar(out: BinaryIO | _Digested, files: list[Planned]) -> None:
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
        for parent in sorted({p for file in files for p in _parents(file.name)}):
            entry = tarfile.TarInfo(parent)
            entry.type, entry.mode = tarfile.DIRTYPE, _FOLDER_MODE
            archive.addfile(entry)
        for file in files:
            entry = tarfile.TarInfo(file.name)
            entry.size, entry.mode = file.size_bytes, _MODE
            with file.source.open("rb") if file.source else io.BytesIO() as content:
                archive.addfile(entry, content)


def _parents(name: str) -> Iterable[str]:
    return (str(parent) for parent in Path(name).parents if str(parent) != ".")


class _Digested:
    """A file that only counts what is written to it."""

    def __init__(self) -> None:
        self._digest, self.size = hashlib.sha256(), 0

    def write(self, content: bytes) -> int:
        """Take bytes in."""
        self._digest.update(content)
        self.size += len(content)
        return len(content)

    def hexdigest(self) -> str:
        """The SHA-256 of what was written."""
        return self._digest.hexdigest()


def _rootfs(layers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}


def _write_json(folder: Path, media_type: str, value: Mapping[str, Any]) -> dict[str, Any]:
    content = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    descriptor = {
        "mediaType": media_type,
        "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "size": len(content),
    }
    write_bytes(_blob(folder, descriptor), content)
    return descriptor


def _blob(folder: Path, descriptor: Mapping[str, Any]) -> Path:
    return folder / "blobs" / "sha256" / str(descriptor["digest"]).removeprefix("sha256:")


def _verify(folder: Path, descriptors: list[dict[str, Any]]) -> None:
    for descriptor in descriptors:
        blob = _blob(folder, descriptor)
        if f"sha256:{digest_of_file(blob)}" != descriptor["digest"]:
            raise EnvironmentProblem(f"{blob} does not hold what was written", mend="run the same command again")


def _index(manifests: list[dict[str, Any]], newest: dict[str, Any], tags: tuple[str, ...]) -> bytes:
    """The index with `newest` under its tags, which no other keeps."""
    others = [m for m in manifests if m.get("annotations", {}).get(TAG) not in tags]
    tagged = [newest | {"annotations": {TAG: tag}} for tag in tags]
    value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*others, *tagged]}
    return (json.dumps(value, indent=2) + "\n").encode()


def _back(lock: PushLock, folder: Path, tag: str) -> str:
    before = lock.previous_sha256[:12]
    if not before:
        return "There is no image of the state before."
    return f"Copy that image, for example\n\n    skopeo copy oci:{folder}:{before} docker://REGISTRY/NAME:{tag}"
