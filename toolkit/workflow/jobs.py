"""Work that needs a server, done in order, each as a resumable step; no server is started when nothing is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolkit.environment import environment_here
from toolkit.load.pattern import Load
from toolkit.records import is_finished, step
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.server import Endpoint
from toolkit.tune.decision import Candidate
from toolkit.workflow.measure import Driving, configurations, load_changes, measure_into, trial_key
from toolkit.workflow.runs import Progress

Watch = Callable[[Path], None]
Serving = Callable[[], AbstractContextManager[Endpoint]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A step with what it depends on, and the configuration that it runs under (None: whatever is loaded)."""

    key: str
    inputs: object
    text: str
    do: Callable[[Endpoint, Path], None]
    candidate: Candidate | None = None


def trial_jobs(
    run: Path,
    models: Sequence[str],
    requests: Path,
    candidates: Sequence[Candidate],
    loads: Sequence[Load],
    *,
    depends_on: object,
    driving: Driving | None = None,
) -> tuple[Job, ...]:
    """Every candidate at every load, grouped by candidate so that reloads are few.

    requests: the folder of requests that are sent in rotation. driving: how; ours in one process unless it says
    otherwise. depends_on: what else the figures rest on (digests);
    the environment is always part of it, since a figure from one machine is never used for another.
    """
    driven = driving or Driving()
    base = {"depends_on": depends_on, "environment": environment_here(), "driving": driven}

    def job(candidate: Candidate, load: Load) -> Job:
        def do(endpoint: Endpoint, folder: Path) -> None:
            measure_into(folder, endpoint, models, requests, load, driving=driven, interrupted=run / "interrupted")

        return Job(
            key=trial_key(candidate, load),
            inputs=base | {"candidate": candidate, "load": load},
            text=f"measuring {candidate.name} at {load.name}",
            do=do,
            candidate=candidate,
        )

    return tuple(job(c, load) for c in candidates for load in loads)


def do_jobs(
    run: Path,
    jobs: Sequence[Job],
    serving: Serving,
    repository: Path | None,
    progress: Progress,
    watch: Watch = lambda run: None,
) -> None:
    """Do the jobs that are not finished, on one server, reloading entries of `repository` where a job asks for it.

    repository: the one that the server was started on for these jobs, None where it is not ours to reload.
    watch: called with the run folder after each job, for whoever shows what there is by then.
    """
    pending = [j for j in jobs if not is_finished(run, j.key, j.inputs)]
    if not pending:
        return
    with serving() as endpoint:
        loaded = {} if repository is None else configurations(repository)
        for number, job in enumerate(pending, 1):
            progress(f"{job.text} ({number} of {len(pending)})")
            if job.candidate is not None and repository is not None:
                load_changes(endpoint, repository, job.candidate, loaded)
            _do(run, job, endpoint)
            watch(run)


def _do(run: Path, job: Job, endpoint: Endpoint) -> None:
    step(run, job.key, job.inputs, lambda folder: job.do(endpoint, folder))


def embedded(repository: Path, log: Path, progress: Progress) -> Serving:
    """An embedded Triton on `repository`, its log kept in `log`."""

    @contextmanager
    def serving() -> Iterator[Endpoint]:
        progress("starting the embedded Triton")
        with serve_embedded(repository, log=log) as server:
            yield server.endpoint

    return serving


def already_there(endpoint: Endpoint) -> Serving:
    """A server that somebody else runs."""

    @contextmanager
    def serving() -> Iterator[Endpoint]:
        yield endpoint

    return serving
