"""Writing: whole or not at all, only into an empty folder, never outside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.deploy.bundle import Bundle, CopiedFile, repository_files, write_bundle
from toolkit.errors import RepositoryError, UsageError
from toolkit.records import files_below


@pytest.mark.parametrize("path", ["", ".", "/etc/passwd", "../up", "a/../../up", "a/..", "a//b", "./a", "a/", "a\0b"])
def test_a_path_that_leaves_the_folder_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="not a path inside a bundle"):
        Bundle(files={path: ""}, copies={})
    with pytest.raises(UsageError, match="not a path inside a bundle"):
        Bundle(files={}, copies={path: CopiedFile(source=Path("x"), sha256="")})


def test_a_path_is_generated_or_copied_but_not_both() -> None:
    with pytest.raises(UsageError, match="both generated and copied"):
        Bundle(files={"a": ""}, copies={"a": CopiedFile(source=Path("x"), sha256="")})


def test_texts_bytes_and_copies_are_written(tmp_path: Path) -> None:
    (tmp_path / "repository" / "m").mkdir(parents=True)
    (tmp_path / "repository" / "m" / "weights").write_bytes(b"\0\1")
    bundle = Bundle(files={"a/b.txt": "é", "c": b"\xff"}, copies=repository_files(tmp_path / "repository", ("m",)))
    write_bundle(bundle, tmp_path / "out")
    contents = {path: (tmp_path / "out" / path).read_bytes() for path in files_below(tmp_path / "out")}
    assert contents == {"a/b.txt": "é".encode(), "c": b"\xff", "m/weights": b"\0\1"}
    assert (tmp_path / "out" / "a").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out" / "c").stat().st_mode & 0o777 == 0o644


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_bundle(Bundle(files={"a": ""}, copies={}), tmp_path / "out")
    assert files_below(tmp_path / "out") == ("a",)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_place_that_holds_something_is_refused(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "out"
    if kind == "folder":
        place.mkdir()
        (place / "mine").write_text("keep")
    else:
        place.write_text("keep")
    with pytest.raises(UsageError, match="not an empty folder") as caught:
        write_bundle(Bundle(files={"a": ""}, copies={}), place)
    assert "--output" in caught.value.mend
    assert (place / "mine" if kind == "folder" else place).read_text() == "keep"


def test_a_model_that_changes_meanwhile_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "repository" / "m").mkdir(parents=True)
    model = tmp_path / "repository" / "m" / "model.onnx"
    model.write_bytes(b"as measured")
    bundle = Bundle(files={"a": ""}, copies=repository_files(tmp_path / "repository", ("m",)))
    model.write_bytes(b"another one")
    with pytest.raises(RepositoryError, match="changed while the bundle was made"):
        write_bundle(bundle, tmp_path / "out" / "deep")
    assert files_below(tmp_path / "out") == ()
    assert list((tmp_path / "out").iterdir()) == []


def test_a_link_out_of_the_repository_is_refused_and_one_inside_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "repository" / "m"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"weights")
    (folder / "again.onnx").symlink_to("model.onnx")
    files = repository_files(tmp_path / "repository", ("m",))
    assert files["m/again.onnx"].sha256 == files["m/model.onnx"].sha256
    (tmp_path / "secret").mkdir()
    (folder / "2").symlink_to(tmp_path / "secret")
    with pytest.raises(RepositoryError, match="leads to"):
        repository_files(tmp_path / "repository", ("m",))
