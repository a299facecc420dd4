"""Entries of a Triton model repository as they lie there, our own and foreign ones.

In: a folder. Out: RepositoryEntry values, or an error that names what is wrong and where. Nothing is written.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from toolkit.errors import ConfigurationError, RepositoryError
from toolkit.repository.config import ModelConfig, config_from_pbtxt
from toolkit.repository.provenance import provenance_of
from toolkit.repository.publish import CONFIG_FILE, entry_folders, version_folders
from toolkit.repository.versions import served_versions


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryEntry:
    """One model of a repository: the version that a request without one gets, and all `versions` that lie there.

    `artifact_sha256` is of what `version` was made from, and empty for a foreign entry.
    """

    name: str
    version: int
    path: Path
    config: ModelConfig
    artifact_sha256: str
    versions: tuple[int, ...] = (1,)


def read_entries(repository: Path) -> tuple[RepositoryEntry, ...]:
    """Every entry by name. Raises RepositoryError for a folder that is no repository, else as `read_entry`."""
    return tuple(read_entry(path) for path in entry_folders(repository))


def read_entry(path: Path) -> RepositoryEntry:
    """One entry. Without a config.pbtxt, which Triton can complete by itself, the config holds the name only.

    Raises RepositoryError without a version folder, ConfigurationError with line and column for a bad config.pbtxt.
    """
    versions = version_folders(path) if path.is_dir() else ()
    if not versions:
        raise RepositoryError(
            f"{path} is not an entry of a model repository: it has no version folder such as 1/",
            mend="toolkit repo lint shows what is wrong with the repository",
        )
    config, provenance = read_config(path), provenance_of(path)
    numbers = tuple(int(folder.name) for folder in versions)
    return RepositoryEntry(
        name=path.name,
        version=max(served_versions(config, numbers), default=numbers[-1]),
        path=path,
        config=config,
        artifact_sha256=provenance.artifact_sha256 if provenance else "",
        versions=numbers,
    )


def read_config(entry: Path) -> ModelConfig:
    """The config.pbtxt of an entry, or one with nothing but the name. Raises ConfigurationError."""
    file = entry / CONFIG_FILE
    if not file.is_file():
        return ModelConfig(name=entry.name)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigurationError(f"{file} cannot be read: {err}") from err
    config = config_from_pbtxt(text, str(file))
    return config if config.name else dataclasses.replace(config, name=entry.name)
