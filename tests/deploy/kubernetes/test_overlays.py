"""The table of overlays: what they need, what they exclude, and that each has its folder."""

from __future__ import annotations

import pytest

from toolkit.deploy.kubernetes.overlays import OVERLAYS, components_of, exclusions, overlays_from
from toolkit.deploy.rendering import templates_folder
from toolkit.errors import UsageError

NAMES = tuple(overlay.name for overlay in OVERLAYS)


@pytest.mark.parametrize(
    ("names", "gpu", "components"),
    [
        ((), False, ()),
        ((), True, ("gpu",)),
        (("cpu",), True, ("cpu",)),
        (("mig",), True, ("mig",)),
        (("aws",), False, ("gpu", "aws")),
        (("aws", "mig"), True, ("mig", "aws")),
        (("hpa", "prometheus-operator", "openshift"), False, ("openshift", "hpa", "prometheus-operator")),
        (("kserve",), False, ("on-prem-pvc", "kserve")),
        (("kserve",), True, ("gpu", "on-prem-pvc", "kserve", "kserve-gpu")),
        (("kserve", "gpu", "kserve"), False, ("gpu", "on-prem-pvc", "kserve", "kserve-gpu")),
    ],
)
def test_what_is_needed_is_added_in_the_order_of_the_table(
    names: tuple[str, ...], gpu: bool, components: tuple[str, ...]
) -> None:
    assert components_of(overlays_from(names, gpu=gpu)) == components


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("hpa", "keda"), "two autoscalers"),
        (("kserve", "hpa"), "two autoscalers"),
        (("keda", "kserve"), "two autoscalers"),
        (("mig", "time-slicing"), "one way"),
        (("gpu", "cpu"), "one way"),
        (("gcp", "aws"), "one cloud"),
        (("cpu", "azure"), "nodes with a GPU"),
        (("s3", "on-prem-pvc"), "one place"),
        (("kserve", "s3"), "KServe makes the pods"),
        (("kserve", "openshift"), "KServe makes the pods"),
        (("mig", "kserve"), "KServe makes the pods"),
    ],
)
def test_overlays_that_exclude_each_other_are_refused_with_the_reason(names: tuple[str, ...], reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        overlays_from(names, gpu=False)
    assert all(name in caught.value.message for name in names) or "on-prem-pvc" in caught.value.message


def test_an_unknown_overlay_is_refused() -> None:
    with pytest.raises(UsageError, match="--overlay istio is not known") as caught:
        overlays_from(("istio",), gpu=False)
    assert "keda" in caught.value.mend


def test_exclusion_holds_both_ways_and_spares_what_is_needed() -> None:
    for name in NAMES:
        for other, reason in exclusions(name).items():
            assert exclusions(other)[name] == reason
    for overlay in OVERLAYS:
        assert not overlay.needs or overlay.needs[0] not in exclusions(overlay.name)


def test_every_component_belongs_to_an_overlay() -> None:
    folders = {path.name for path in (templates_folder() / "kubernetes" / "components").iterdir()}
    assert folders - set(NAMES) == {"kserve-gpu"}
    assert set(NAMES) <= folders
