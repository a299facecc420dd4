"""The commands on a Triton model repository: fill, list, lint, compare, roll back, deliver."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from toolkit.cli import show
from toolkit.cli.options import MODEL_REPO, Json, Repository, done

if TYPE_CHECKING:
    from toolkit.repository.llm_server import LlmServer
    from toolkit.repository.read import RepositoryEntry

repo = typer.Typer(
    help="Fill, list, lint, compare, roll back and deliver a Triton model repository.", no_args_is_help=True
)


@repo.command("add")
def repo_add(
    artifact: Annotated[Path, typer.Argument(help="A folder that `toolkit export` wrote; with --server, the model's.")],
    repository: Repository = MODEL_REPO,
    name: Annotated[str | None, typer.Option("--name", help="The entry's name; default: the artifact's.")] = None,
    server: Annotated[
        Literal["triton-vllm", "triton-trtllm"] | None,
        typer.Option("--server", help="A GPU server that loads a language model's folder itself."),
    ] = None,
    model_path: Annotated[str, typer.Option("--model-path", help="Where that server sees the folder.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Replace an entry of ours of that name.")] = False,
    new_version: Annotated[bool, typer.Option("--new-version", help="Add a version beside those it has.")] = False,
    failed: Annotated[bool, typer.Option("--allow-failed-parity", help="Also when the answers differ.")] = False,
    json: Json = False,
) -> None:
    """Add an artifact to the repository as a Triton entry."""
    from toolkit.repository.entry import add_artifact

    if server is not None:
        _add_model_folder(artifact, repository, server, name, model_path, replace, json)
        return
    entry = add_artifact(
        repository, artifact, name=name, replace=replace, new_version=new_version, allow_failed_parity=failed
    )
    text = f"version {entry.version} of {entry.path} is written; next: toolkit serve --repository {repository}"
    done({"entry": entry}, text, json)


def _add_model_folder(
    folder: Path, repository: Path, server: LlmServer, name: str | None, model_path: str, replace: bool, json: bool
) -> None:
    from toolkit.repository.llm_server import add_model_folder

    entry = add_model_folder(repository, folder, server, name=name, model_path=model_path, replace=replace)
    done({"entry": entry}, f"{entry.path} is written, and was not run here; next: read its README.md", json)


@repo.command("list")
def repo_list(repository: Repository = MODEL_REPO, json: Json = False) -> None:
    """The entries of a repository, their versions, and the digest of what the served one was made from."""
    from toolkit.repository.read import read_entries

    entries = read_entries(repository)
    if json:
        show.document({"entries": entries})
    else:
        show.table(("entry", "backend", "max_batch_size []", "versions", "sha256"), [_row(e) for e in entries])


def _row(entry: RepositoryEntry) -> tuple[str, ...]:
    kind = entry.config.backend or entry.config.platform
    versions = ", ".join(f"{v} (served)" if v == entry.version else str(v) for v in entry.versions)
    return entry.name, kind, str(entry.config.max_batch_size), versions, entry.artifact_sha256[:12]


@repo.command("rollback")
def repo_rollback(
    name: Annotated[str, typer.Argument(help="The entry's name.")],
    repository: Repository = MODEL_REPO,
    to: Annotated[int | None, typer.Option("--to", help="The version; default: the one before the served one.")] = None,
    json: Json = False,
) -> None:
    """Serve an earlier version of an entry again; none is removed."""
    from toolkit.repository.history import roll_back

    entry = roll_back(repository, name, to=to)
    text = f"{entry.path} serves version {entry.version} of {', '.join(map(str, entry.versions))}"
    done({"entry": entry}, f"{text}; a running server serves it after a reload", json)


@repo.command("lint")
def repo_lint(
    repository: Repository = MODEL_REPO,
    explain: Annotated[str | None, typer.Option("--explain", help="A rule's id: what it finds, and why.")] = None,
    json: Json = False,
) -> None:
    """Contradictions in a repository, each with its rule and its remedy; exit code 1 when there is an error."""
    from toolkit.repository.lint import lint_repository, rule_of

    if explain is not None:
        rule = rule_of(explain)
        document = {"id": rule.id, "severity": rule.severity, "text": rule.text, "remedy": rule.remedy}
        return done({"rule": document}, f"{rule.id} ({rule.severity}): {rule.text}\n  mend: {rule.remedy}", json)
    remarks = lint_repository(repository)
    if json:
        show.document({"remarks": remarks})
    else:
        rows = [(r.rule, r.severity, r.entry, r.text, r.remedy) for r in remarks]
        show.table(("rule", "severity", "entry", "what", "remedy"), rows) if rows else show.out.print("no remarks")
    raise typer.Exit(1 if any(r.severity == "error" for r in remarks) else 0)


@repo.command("diff")
def repo_diff(
    one: Annotated[Path, typer.Argument(metavar="A", help="An entry's folder, or a repository.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="Another of the same kind.")],
    json: Json = False,
) -> None:
    """What a server would serve differently, field by field; exit code 1 when there is a difference."""
    from toolkit.repository.diff import diff

    found = diff(one, other)
    if json:
        show.document({"differences": found})
    else:
        rows = [(d.entry, d.field, d.before, d.after, d.meaning) for d in found]
        show.table(("entry", "field", "A", "B", "what it does"), rows) if rows else show.out.print("no difference")
    raise typer.Exit(1 if found else 0)


@repo.command("push")
def repo_push(
    repository: Annotated[Path, typer.Argument(help="The model repository.")],
    destination: Annotated[str, typer.Argument(help="A folder, s3://BUCKET/FOLDER, gs://..., or oci:DIR[:TAG].")],
    json: Json = False,
) -> None:
    """Deliver a repository, verify what arrived, and write down how to go back; again, it sends what is missing."""
    from toolkit.repository.push import push

    made = push(repository, destination)
    text = f"{made.destination}: {made.sent} sent ({made.sent_bytes:,} bytes), {made.kept} there already"
    before = f"; before it was {made.previous_sha256[:12]}" if made.previous_sha256 else ""
    done({"delivery": made}, f"{text}, {made.removed} removed; state {made.sha256[:12]}{before}", json)
