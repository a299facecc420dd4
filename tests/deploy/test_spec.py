"""A DeploymentSpec that no target could deploy cannot be made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.deploy import DeploymentSpec, Figures, requirements_below
from toolkit.deploy.spec import MIB, TRITON_IMAGE, default_memory_bytes
from toolkit.errors import ConfigurationError, UsageError

Make = Callable[..., DeploymentSpec]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"entries": ("digits", "../digits")}, "not a path inside"),
        ({"entries": ("digits", "absent")}, "no entry 'absent'"),
        ({"entries": ("digits", "digits/1")}, "no entry 'digits/1'"),
        ({"entries": ()}, "not among the entries"),
        ({"name": ""}, "empty"),
        ({"title": "\udcff"}, "Unicode"),
        ({"target": "swarm"}, "not a target"),
        ({"image": "tritonserver"}, "tag or digest"),
        ({"image": "a:1\nUSER root"}, "tag or digest"),
        ({"image": "a:1 --flag"}, "tag or digest"),
        ({"shm_bytes": 0}, "does not fit"),
        ({"memory_bytes": 512 * MIB}, "does not fit"),
    ],
)
def test_values_that_no_target_could_deploy_are_refused(make_spec: Make, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_spec(**fields)


@pytest.mark.parametrize("image", [TRITON_IMAGE, "localhost:5000/a/b:1.0", "a@sha256:" + "0" * 64])
def test_images_are_pinned_by_tag_or_digest(make_spec: Make, image: str) -> None:
    assert make_spec(image=image).image == image


@pytest.mark.parametrize(
    ("name", "slug"),
    [("vision", "vision"), ("digits_classifier", "digits-classifier"), ("A-1", "a-1")],
)
def test_a_plain_name_is_its_own_slug(make_spec: Make, name: str, slug: str) -> None:
    assert make_spec(name=name).slug == slug


def test_names_that_differ_have_slugs_that_differ(make_spec: Make) -> None:
    names = ("a b", "a.b", "a/b", "ä", "ö", "x" * 80, "x" * 81, "$(reboot)", "-a", "a-b")
    slugs = {make_spec(name=name).slug for name in names}
    assert len(slugs) == len(names)
    assert all(len(s) <= 48 and s.strip("-") == s and s.replace("-", "").isalnum() and s.isascii() for s in slugs)


@pytest.mark.parametrize(
    ("server", "device", "gpu", "measured"),
    [
        (TRITON_IMAGE, "GPU", True, True),
        (TRITON_IMAGE, "CPU", False, True),
        (TRITON_IMAGE, "CPU", True, False),
        ("embedded Triton", "CPU", False, False),
    ],
)
def test_figures_are_the_targets_only_on_its_image_and_device(
    make_spec: Make, server: str, device: str, gpu: bool, measured: bool
) -> None:
    figures = Figures(
        throughput_per_s=1.0, latency_p99_s=None, load="", outcome="PASS", environment="", device=device, server=server
    )
    assert make_spec(figures=figures, gpu=gpu).is_measured_on_target is measured
    assert not make_spec(figures=None, gpu=gpu).is_measured_on_target


def test_the_default_memory_holds_the_server_the_shared_memory_and_the_model() -> None:
    assert default_memory_bytes(0, 0) % MIB == 0
    assert default_memory_bytes(1, 0) == default_memory_bytes(0, 0) + MIB
    assert default_memory_bytes(0, 512 * MIB) == default_memory_bytes(0, 0) + 512 * MIB


def test_the_requirements_of_all_steps_are_gathered_once(tmp_path: Path) -> None:
    for entry, text in {"a": "pillow>=10\nnumpy>=1.26,<2  # stub\n", "b": "\n# none\npillow>=10\n", "c": "x\n"}.items():
        (tmp_path / entry / "1").mkdir(parents=True)
        (tmp_path / entry / "1" / "requirements.txt").write_text(text)
    assert requirements_below((tmp_path / "a", tmp_path / "b")) == ("numpy>=1.26,<2", "pillow>=10")


@pytest.mark.parametrize("line", ["-r other.txt", "--index-url=http://x", "a @ http://x", "./local", "a; b", "a $(id)"])
def test_a_requirement_that_is_more_than_a_package_is_refused(make_spec: Make, tmp_path: Path, line: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "requirements.txt").write_text(line)
    with pytest.raises(ConfigurationError, match="not a package"):
        requirements_below((tmp_path / "a",))
    with pytest.raises(ConfigurationError, match="not a package"):
        make_spec(requirements=(line,))
