"""What must hold in a poc.yaml that its field types cannot say."""

from __future__ import annotations

from pathlib import Path

from toolkit.errors import ConfigurationError
from toolkit.export.spec import PRECISION_NAMES
from toolkit.poc.file import Poc, PocFile


def check(poc: Poc, path: Path) -> None:
    """What the field types cannot say."""
    file = poc.file
    entries = {*file.models, *file.steps, *([file.pipeline.name] if file.pipeline else [])}
    if not file.models:
        raise ConfigurationError(f"{path}: models is empty; name at least one model")
    if len(file.models) > 1 and file.pipeline is None:
        raise ConfigurationError(f"{path}: {len(file.models)} models and no pipeline", mend="add a `pipeline:`")
    if not file.loads:
        raise ConfigurationError(f"{path}: loads is empty; name at least one", mend="loads: [{clients: 8}]")
    for step in file.pipeline.steps if file.pipeline else ():
        if step.model not in entries:
            raise ConfigurationError(f"{path}: pipeline step '{step.model}' is neither under models nor under steps")
    _check_made(file, path)
    _check_precisions(file, path)
    named = [(f"candidates.{name}.{entry}", entry) for name, c in file.search.candidates.items() for entry in c]
    for where, entry in (*named, *((f"ranges.{entry}", entry) for entry in file.search.ranges)):
        if entry not in entries:
            raise ConfigurationError(f"{path}: search.{where} is not an entry; entries: {', '.join(sorted(entries))}")


def _check_precisions(file: PocFile, path: Path) -> None:
    """Whether the precisions exist, and each that a candidate serves is made."""
    for model, spec in file.models.items():
        for precision in spec.export.precisions:
            if precision not in PRECISION_NAMES:
                known = ", ".join(PRECISION_NAMES)
                where = f"{path}: models.{model}.export.precisions"
                raise ConfigurationError(f"{where}: '{precision}' is not one of: {known}")
    for name, entries in file.search.candidates.items():
        for entry, config in entries.items():
            made = ("fp32", *file.models[entry].export.precisions) if entry in file.models else ()
            if "variant" in config and config["variant"] not in made:
                raise ConfigurationError(
                    f"{path}: search.candidates.{name}.{entry}.variant is '{config['variant']}', which is not made; "
                    f"there are: {', '.join(dict.fromkeys(made)) or 'none'}",
                    mend=f"name it in models.{entry}.export.precisions",
                )


def _check_made(file: PocFile, path: Path) -> None:
    """Whether all that `data`, `indexes`, `steps` and `questions` name is made here, and under one name."""
    names = [*file.models, *file.data, *file.indexes]
    made = set(names)
    wanted = [(f"data.{n}.needs", need) for n, d in file.data.items() for need in d.needs]
    wanted += [(f"indexes.{n}.data", i.data) for n, i in file.indexes.items()]
    wanted += [(f"steps.{n}.files", s.files) for n, s in file.steps.items() if s.files and "/" not in s.files]
    wanted += [(key, name) for key in ("questions", "quality") if (name := getattr(file, key))]
    for where, name in wanted:
        if name not in made:
            known = ", ".join(sorted(made))
            raise ConfigurationError(f"{path}: {where} names '{name}', which is not made here; there are: {known}")
    for name in made:
        if names.count(name) > 1:
            raise ConfigurationError(f"{path}: '{name}' stands for two of models, data and indexes")
