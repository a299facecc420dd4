"""Deliveries: to a folder, to an object store (fsspec's own in memory) and to an OCI layout; verified and resumable."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import EnvironmentProblem, MissingDependency, RepositoryError, ToolkitError, UsageError
from toolkit.repository.entry import RepositoryEntry, add_artifact, add_step
from toolkit.repository.history import roll_back
from toolkit.repository.lint import lint_repository
from toolkit.repository.pipeline import Pipeline, PipelineStep, add_pipeline
from toolkit.repository.push import push
from toolkit.repository.push.destination import Folder
from toolkit.repository.push.files import push_files
from toolkit.repository.push.plan import plan_of
from toolkit.repository.read import read_entries

fsspec = pytest.importorskip("fsspec", reason="object stores need the `delivery` extra")


@pytest.fixture
def models(tmp_path: Path, scorer: RepositoryEntry) -> Path:
    """`scorer` in two versions, `decode`, and an ensemble, whose version folder is empty."""
    place = tmp_path / "models"
    change = {"instance_group": [{"count": 1, "kind": "KIND_CPU"}]}
    folder, labels = tmp_path / "artifacts" / "scorer", ("a", "b", "c", "d")
    add_artifact(place, folder, labels=labels, config=change, new_version=True)
    add_step(place, "image_decode", name="decode", parameters={"width": 2, "height": 2, "mode": "L"})
    steps = (
        PipelineStep(model="decode", inputs={"IMAGE": "IMAGE"}, outputs={"PIXELS": "pixels"}),
        PipelineStep(model="scorer", inputs={"IMAGE": "pixels"}, outputs={"SCORES": "SCORES"}),
    )
    add_pipeline(place, Pipeline(name="photo", steps=steps))
    return place


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def lock_at(folder: Path) -> dict[str, Any]:
    lock: dict[str, Any] = json.loads((folder / "bundle.lock.json").read_text())
    return lock


def test_a_folder_gets_every_file_and_can_be_served(tmp_path: Path, models: Path) -> None:
    made = push(models, str(tmp_path / "there"))
    assert (made.kept, made.removed, made.previous_sha256) == (0, 0, "")
    there, here = content(tmp_path / "there"), content(models)
    assert here.items() <= there.items()
    assert set(there) - set(here) == {"SHA256SUMS", "bundle.lock.json", "README-rollback.md", "photo/1/.keep"}
    assert [e.name for e in read_entries(tmp_path / "there")] == ["decode", "photo", "scorer"]
    assert lint_repository(tmp_path / "there") == ()
    lock = lock_at(tmp_path / "there")
    assert [(e["name"], e["version"]) for e in lock["entries"]] == [("decode", 1), ("photo", 1), ("scorer", 2)]
    assert made.sent == len(lock["files"]) == len(there) - 3


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum")
def test_the_checksums_are_what_sha256sum_reads(tmp_path: Path, models: Path) -> None:
    push(models, str(tmp_path / "there"))
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(command, cwd=tmp_path / "there", check=False).returncode == 0


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_a_second_push_sends_what_changed_and_notes_what_was_before(tmp_path: Path, models: Path, kind: str) -> None:
    place = str(tmp_path / "there") if kind == "folder" else f"memory://bucket/{tmp_path.name}"
    first = push(models, place)
    again = push(models, place)
    assert (again.sent, again.kept, again.sha256) == (0, first.sent, first.sha256)
    roll_back(models, "scorer")
    shutil.rmtree(models / "photo")
    back = push(models, place)
    assert back.previous_sha256 == first.sha256
    sent = {"scorer/config.pbtxt", "scorer/toolkit.json"}
    described = {f"scorer/2/.entry/{name}" for name in ("config.pbtxt", "labels.txt", "toolkit.json")}
    assert back.sent == len(sent | described)
    system, root = fsspec.core.url_to_fs(place)
    notes = system.cat_file(f"{root}/README-rollback.md").decode()
    assert "| scorer | version 1 of 1, 2 (" in notes and "| version 2 of 1, 2 (" in notes
    assert "| photo | - | version 1 of 1 (" in notes and "photo is no longer here" in notes
    assert back.removed == 4 and not [p for p in system.find(root) if "/photo/" in p]
    assert push(models, place).previous_sha256 == first.sha256


def test_a_push_that_was_cut_off_goes_on(tmp_path: Path, models: Path) -> None:
    class Cut(Folder):
        left = 4

        def send(self, name: str, source: Path) -> None:
            self.left -= 1
            if self.left < 0:
                raise EnvironmentProblem("the line is dead")
            super().send(name, source)

    with pytest.raises(EnvironmentProblem, match="the line is dead"):
        push_files(plan_of(models), Cut(tmp_path / "there"))
    assert lock_at(tmp_path / "there")["complete"] is False
    assert not (tmp_path / "there" / "scorer" / "config.pbtxt").exists(), "models are sent before configurations"
    made = push(models, str(tmp_path / "there"))
    assert (made.kept, made.previous_sha256) == (4 + 1, ""), "and the placeholder of the ensemble"
    assert lock_at(tmp_path / "there")["complete"] is True


def test_after_a_rollback_at_the_destination_a_push_still_works(tmp_path: Path, models: Path) -> None:
    there = tmp_path / "there"
    first = push(models, str(there))
    assert roll_back(there, "scorer").version == 1
    assert lint_repository(there) == ()
    again = push(models, str(there))
    assert (again.sha256, again.removed) == (first.sha256, 3)
    assert {e.name: e.version for e in read_entries(there)}["scorer"] == 2
    assert set(content(there)) - set(content(models)) == {
        "SHA256SUMS",
        "bundle.lock.json",
        "README-rollback.md",
        "photo/1/.keep",
    }


def test_the_notes_of_a_first_push_have_nothing_to_go_back_to(tmp_path: Path, scorer: RepositoryEntry) -> None:
    push(scorer.path.parent, str(tmp_path / "there"))
    assert "There is no state before this one." in (tmp_path / "there" / "README-rollback.md").read_text()


def test_what_was_damaged_there_is_sent_again(tmp_path: Path, models: Path) -> None:
    push(models, str(tmp_path / "there"))
    (tmp_path / "there" / "scorer" / "1" / "model.onnx").write_bytes(b"bit rot")
    assert push(models, str(tmp_path / "there")).sent == 1
    assert content(models).items() <= content(tmp_path / "there").items()


def test_what_does_not_arrive_is_not_called_delivered(tmp_path: Path, models: Path) -> None:
    class Lossy(Folder):
        def send(self, name: str, source: Path) -> None:
            self.write(name, source.read_bytes()[:-1])

    with pytest.raises(EnvironmentProblem, match="arrived with digest") as caught:
        push_files(plan_of(models), Lossy(tmp_path / "there"))
    assert "again" in caught.value.mend and lock_at(tmp_path / "there")["complete"] is False


def blob(layout: Path, digest: str) -> bytes:
    found = (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()
    assert f"sha256:{hashlib.sha256(found).hexdigest()}" == digest
    return found


def image(layout: Path, tag: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest under a tag, checked as the image specification has it, and the files of its layers."""
    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((layout / "index.json").read_text())
    assert (index["schemaVersion"], index["mediaType"]) == (2, "application/vnd.oci.image.index.v1+json")
    (entry,) = [m for m in index["manifests"] if m["annotations"]["org.opencontainers.image.ref.name"] == tag]
    manifest = json.loads(blob(layout, entry["digest"]))
    assert entry["size"] == len(blob(layout, entry["digest"]))
    config = json.loads(blob(layout, manifest["config"]["digest"]))
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    files = {}
    for layer in manifest["layers"]:
        assert set(layer) == {"mediaType", "digest", "size"} and layer["size"] == len(blob(layout, layer["digest"]))
        with tarfile.open(layout / "blobs" / "sha256" / layer["digest"].removeprefix("sha256:")) as archive:
            for member in archive:
                assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")
                if member.isfile():
                    files[member.name] = archive.extractfile(member).read()  # type: ignore[union-attr]
    return manifest, files


def test_an_oci_layout_holds_the_repository_as_an_image(tmp_path: Path, models: Path) -> None:
    layout = tmp_path / "layout"
    first = push(models, f"oci:{layout}")
    assert first.destination == f"oci:{layout}:latest"
    manifest, files = image(layout, "latest")
    assert files == content(models) | {"photo/1/.keep": b""}
    again = push(models, f"oci:{layout}")
    assert (again.sent, again.kept) == (0, len(manifest["layers"]))
    roll_back(models, "scorer")
    back = push(models, f"oci:{layout}:v2")
    assert back.sent == 2, "the description, and the version that now holds what described it"
    assert image(layout, first.sha256[:12])[0] == manifest == image(layout, "latest")[0]
    assert image(layout, "v2")[1] == content(models) | {"photo/1/.keep": b""}
    assert f"oci:{layout}:{first.sha256[:12]}" in (layout / "README-rollback.md").read_text()


def test_the_same_files_are_the_same_layers_whenever_they_were_written(tmp_path: Path, models: Path) -> None:
    push(models, f"oci:{tmp_path / 'one'}")
    copy = tmp_path / "copy"
    shutil.copytree(models, copy)
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    push(copy, f"oci:{tmp_path / 'two'}")
    assert image(tmp_path / "one", "latest") == image(tmp_path / "two", "latest")


def test_a_damaged_layer_is_written_again(tmp_path: Path, models: Path) -> None:
    push(models, f"oci:{tmp_path / 'one'}")
    manifest, _ = image(tmp_path / "one", "latest")
    place = tmp_path / "one/blobs/sha256" / manifest["layers"][0]["digest"].removeprefix("sha256:")
    place.write_bytes(b"bit rot")
    assert push(models, f"oci:{tmp_path / 'one'}").sent == 1
    assert image(tmp_path / "one", "latest")[0] == manifest


def strange(tmp_path: Path) -> str:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "thesis.tex").write_text("")
    return str(tmp_path / "there")


def a_bundle(tmp_path: Path) -> str:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "bundle.lock.json").write_text('{"schema": 1, "model": "m"}')
    return str(tmp_path / "bundle")


def a_file(tmp_path: Path) -> str:
    (tmp_path / "file").write_text("")
    return str(tmp_path / "file")


def added_to(tmp_path: Path) -> str:
    push(tmp_path / "models", str(tmp_path / "there"))
    (tmp_path / "there" / "extra").mkdir()
    (tmp_path / "there" / "extra" / "secret").write_text("")
    return str(tmp_path / "there")


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        (strange, RepositoryError, "is not empty and was not pushed to: it holds 'thesis.tex'"),
        (a_bundle, RepositoryError, "is not of a pushed repository"),
        (added_to, RepositoryError, "holds 'extra/secret', which no push brought"),
        (a_file, ToolkitError, "file"),
        (lambda tmp: f"{tmp}/models/inside", UsageError, "lie inside each other"),
        (lambda tmp: f"{tmp}", UsageError, "lie inside each other"),
        (lambda tmp: "", UsageError, "lie inside each other"),
        (lambda tmp: "s3://", UsageError, "names no place"),
        (lambda tmp: "memory://bucket/../other", UsageError, "names no place"),
        (lambda tmp: "quux://bucket/x", UsageError, "not known"),
        (lambda tmp: f"oci:{strange(tmp)}", RepositoryError, "is not empty and no layout of ours"),
        (lambda tmp: f"oci:{tmp}/models/x", UsageError, "is no place for a layout"),
        (lambda tmp: "oci:", UsageError, "is no place for a layout"),
        (lambda tmp: f"{a_file(tmp)}/below", EnvironmentProblem, "cannot write"),
    ],
)
def test_a_destination_that_makes_no_sense(
    tmp_path: Path, models: Path, place: Callable[[Path], str], error: type[ToolkitError], message: str
) -> None:
    with pytest.raises(error) as caught:
        push(models, place(tmp_path))
    assert message in caught.value.message and caught.value.mend


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_closed_destination_is_an_environment_problem(tmp_path: Path, models: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(EnvironmentProblem, match="cannot write"):
        push(models, str(tmp_path / "closed" / "there"))


def test_a_store_without_its_package_is_named_with_the_command(models: Path) -> None:
    try:
        import s3fs  # noqa: F401
    except ImportError:
        with pytest.raises(MissingDependency) as caught:
            push(models, "s3://bucket/models")
        assert caught.value.mend == "pip install s3fs"
    else:
        pytest.skip("s3fs is installed")


def test_a_repository_with_an_error_is_not_delivered(tmp_path: Path, models: Path) -> None:
    (models / "decode" / "requirements.txt").write_text("")
    with pytest.raises(RepositoryError, match=r"TR015 decode: 1/model\.py:13 imports 'PIL'"):
        push(models, str(tmp_path / "there"))
    assert not (tmp_path / "there").exists()


def test_a_link_that_leaves_the_repository_is_refused(tmp_path: Path, models: Path) -> None:
    (tmp_path / "secret").write_text("")
    (models / "scorer" / "1" / "extra").symlink_to(tmp_path / "secret")
    with pytest.raises(RepositoryError, match="outside of the repository"):
        push(models, str(tmp_path / "there"))


def test_an_empty_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(RepositoryError, match="has no entries"):
        push(tmp_path / "none", str(tmp_path / "there"))
