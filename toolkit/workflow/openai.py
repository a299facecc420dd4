"""`toolkit serve --openai`: which of the served entries generate text, and the facade in front of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import UsageError
from toolkit.serve.client import model_config, repository_index
from toolkit.serve.generation import generates_text, input_names
from toolkit.serve.server import Endpoint


@contextmanager
def speaking_openai(endpoint: Endpoint, repository: Path, *, port: int | None) -> Iterator[str]:
    """The address of a facade in front of `endpoint` while the context lasts; empty for port None, which is none.

    Raises UsageError where no entry generates text, EnvironmentProblem for a port that is taken.
    """
    if port is None:
        yield ""
        return
    from toolkit.serve.openai import Model, facade

    names = [entry["name"] for entry in repository_index(endpoint) if entry.get("state") == "READY"]
    configs = {name: model_config(endpoint, name) for name in names}
    models = tuple(
        Model(name=name, inputs=input_names(config), folder=_folder(repository, name))
        for name, config in configs.items()
        if generates_text(config)
    )
    if not models:
        raise UsageError(f"no entry of {repository} generates text", mend="serve without --openai")
    with facade(endpoint, models, port=port) as speaking:
        yield speaking.address


def _folder(repository: Path, name: str) -> Path | None:
    """The folder of an entry's files where it holds a tokenizer."""
    folder = repository / name / "1"
    return folder if (folder / "tokenizer.json").is_file() else None
