"""From a PoC folder, and what the command line changes about it, to a Poc with every default filled in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import ConfigurationError, UsageError
from toolkit.families import FAMILIES
from toolkit.families.family import Family
from toolkit.load.slo import Slo, slo_from_text
from toolkit.models.source import with_paths
from toolkit.poc.check import check
from toolkit.poc.file import Poc, PocFile
from toolkit.records import SCHEMA, from_data, read_yaml

FILE = "poc.yaml"


def read_poc(folder: Path, *, smoke: bool = False, settings: tuple[str, ...] = (), model: str | None = None) -> Poc:
    """Read `folder/poc.yaml`.

    smoke: apply its `smoke:` overrides (also when POC_FAST=1). settings: `KEY=VALUE` texts, KEY a dotted path, VALUE
    YAML. model: a MODEL in place of the one in poc.yaml. Raises ConfigurationError and UsageError.
    """
    path = folder / FILE
    if not path.is_file():
        raise ConfigurationError(
            f"{folder} is not a PoC folder: it has no {FILE}", mend="toolkit new NAME --model MODEL"
        )
    data = read_yaml(path)
    smoke = smoke or os.environ.get("POC_FAST") == "1"
    overrides = data.pop("smoke", {})
    data = merged(data, overrides) if smoke else data
    for text in settings:
        data = merged(data, _setting_from_text(text))
    if data.pop("schema", None) != SCHEMA:
        raise ConfigurationError(f"{path}: schema is missing or not {SCHEMA}", mend=f"write `schema: {SCHEMA}` on top")
    file: PocFile = from_data(PocFile, data, str(path))
    return _poc(file if model is None else _with_model(file, model), folder.resolve().name, path, smoke)


def read_resolved(path: Path, name: str) -> Poc:
    """The PoC that a run really ran, from the resolved file in its run folder. Its sources may be gone by now."""
    return _poc(from_data(PocFile, read_yaml(path), str(path)), name, path, False)


def _poc(file: PocFile, name: str, path: Path, smoke: bool) -> Poc:
    poc = Poc(
        name=name,
        folder=path.parent.resolve(),
        file=file,
        family=_family(file.family, path),
        slo=_slo(file.slo, path),
        smoke=smoke,
    )
    check(poc, path)
    return poc


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `change` laid over it: mappings merge key by key, everything else is replaced.

    A mapping that names candidates replaces the whole set, so that `smoke:` can measure fewer.
    """
    result = dict(base)
    for key, value in change.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping) and key != "candidates"
        result[key] = merged(result[key], value) if both else value
    return result


def _setting_from_text(text: str) -> dict[str, Any]:
    import yaml

    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--set '{text}' is not KEY=VALUE", mend="for example --set parity.clients=8")
    try:
        data = yaml.safe_load(value)
    except yaml.YAMLError as err:
        raise UsageError(f"--set '{text}': the value is not YAML") from err
    for part in reversed(key.split(".")):
        data = {part: data}
    return dict(data)


def _with_model(file: PocFile, model: str) -> PocFile:
    from dataclasses import replace

    if len(file.models) != 1:
        raise UsageError("--model needs a PoC with one model", mend="use --set models.NAME.source=MODEL")
    ((name, spec),) = file.models.items()
    source = with_paths(model, lambda path: str(path.resolve()))
    return replace(file, models={name: replace(spec, source=source)})


def _slo(text: str, path: Path) -> Slo:
    try:
        return slo_from_text(text)
    except UsageError as err:
        raise ConfigurationError(f"{path}: slo: {err.message}", mend=err.mend) from err


def _family(name: str, path: Path) -> Family:
    if name not in FAMILIES:
        raise ConfigurationError(f"{path}: family is '{name}'; expected one of {', '.join(FAMILIES)}")
    return FAMILIES[name]
