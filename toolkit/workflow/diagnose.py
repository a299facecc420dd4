"""`toolkit diagnose`: what limits a served model, or the repository of a run, and what lifting it brings.

In: what to look at and where it is served. Out: a run folder with the windows and `diagnosis.json`: where the time
goes, the limits with their figures, the costliest operators, and the first remedy measured. The rules are
tune/diagnose.py's; here they get their facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.environment import environment_here
from toolkit.errors import UsageError
from toolkit.export.profile import OnnxProfile
from toolkit.families import FAMILIES
from toolkit.load.measurement import Measurement
from toolkit.load.pattern import Concurrency, Load, RequestRate
from toolkit.load.request_records import read_records
from toolkit.records import digest_of_value, read_json, write_json
from toolkit.serve.client import endpoint_from_url
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.server import Endpoint, is_on_loopback
from toolkit.tune.decision import Candidate
from toolkit.tune.diagnose import diagnose
from toolkit.tune.findings import Facts, Finding, time_shares
from toolkit.tune.trace import read_trace
from toolkit.workflow.diagnosis import Applied, Diagnosis
from toolkit.workflow.measure import (
    MEASUREMENT,
    RECORDS,
    Driving,
    driving_of,
    load_changes,
    measure_into,
    trial_key,
)
from toolkit.workflow.report import decide_run, write_report
from toolkit.workflow.requests import write_requests
from toolkit.workflow.runs import MANIFEST, Progress, finish_run, locked, new_run, repository_of, run_from_text
from toolkit.workflow.served_models import json_share, profiles_of, served_models, with_alone
from toolkit.workflow.sweep import (
    AS_SERVED,
    Sweep,
    Target,
    remote_address,
    served_config,
    target_from_model,
    target_from_run,
)

FILE = "diagnosis.json"
REMEDY = Candidate(name="remedy", config={})
#: The slow open load, as a share of what one client gets.
SLOW_SHARE = 0.2
#: Requests after a load that count as the first ones, and how long they are sent.
FIRST, FIRST_LOADS_S = 5, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What `toolkit diagnose` was asked. `target` says what is sent where; `clients` are many for it.

    `allow_spinning`: our own server lets ONNX Runtime's threads spin, as native backends do unless told otherwise.
    """

    target: Sweep
    clients: int = 16
    window_s: float = 2.0
    apply: bool = False
    trace: Path | None = None
    allow_spinning: bool = False


def run_diagnose(asked: Asked, *, command: str, root: Path, progress: Progress) -> tuple[Path, Diagnosis]:
    """Look at a served model under four loads, and name what limits it. Returns the run folder and the diagnosis.

    Raises UsageError for a target that cannot be found, ConfigurationError for a trace that is none.
    """
    trace = read_trace(asked.trace) if asked.trace else None
    spec = asked.target
    endpoint = endpoint_from_url(spec.url) if spec.url else None
    is_run = spec.target.startswith("latest:") or Path(spec.target, MANIFEST).is_file()
    of_run = target_from_run(run_from_text(spec.target, root), None) if is_run else None
    repository = repository_of(run_from_text(spec.target, root)) if is_run else spec.repository
    with _serving(of_run[1] if of_run else spec.repository, endpoint, asked, progress) as server:
        target = of_run[0] if of_run else target_from_model(server, spec, None)
        bench = _bench(server, target, asked, repository, command=command, root=root)
        with locked(bench.run):
            progress(f"run folder: {bench.run}")
            found = replace(_diagnosed(bench, asked, progress, is_ours=endpoint is None), trace=trace)
            write_json(bench.run / FILE, found)
            decide_run(bench.run)
            write_report(bench.run)
            finish_run(bench.run)
    return bench.run, found


@contextmanager
def _serving(repository: Path, endpoint: Endpoint | None, asked: Asked, progress: Progress) -> Iterator[Endpoint]:
    """The endpoint that was given, else an embedded Triton on `repository`."""
    if endpoint is not None:
        yield endpoint
        return
    progress(f"starting the embedded Triton on {repository}")
    with serve_embedded(repository, allow_spinning=asked.allow_spinning) as server:
        yield server.endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    run: Path
    endpoint: Endpoint
    models: tuple[str, ...]
    driving: Driving
    repository: Path | None

    def measure(self, candidate: Candidate, load: Load) -> Measurement:
        """Drive a load and keep the point among the trials of the run."""
        folder = self.run / trial_key(candidate, load)
        requests, interrupted = self.run / "requests", self.run / "interrupted"
        measure_into(folder, self.endpoint, self.models, requests, load, driving=self.driving, interrupted=interrupted)
        return read_json(folder / MEASUREMENT, Measurement)


def _bench(
    endpoint: Endpoint, target: Target, asked: Asked, repository: Path | None, *, command: str, root: Path
) -> _Bench:
    loads = (Concurrency(clients=1), Concurrency(clients=asked.clients))
    subject = replace(
        target.subject,
        title=f"Diagnosis of {target.subject.measured}",
        candidates=(AS_SERVED, REMEDY),
        loads=loads,
        remote=remote_address(endpoint),
    )
    models = {m: digest_of_value(served_config(endpoint, m)) for m in subject.models}
    run = new_run(root, subject.measured, command, subject, config={"diagnose": asked}, models=models)
    driving = driving_of(FAMILIES.get(subject.family), asked.target.driving)
    write_requests(run / "requests", target.requests, driving.protocol)
    return _Bench(run=run, endpoint=endpoint, models=subject.models, driving=driving, repository=repository)


def _diagnosed(bench: _Bench, asked: Asked, progress: Progress, *, is_ours: bool) -> Diagnosis:
    facts = _facts(bench, asked, progress, is_ours=is_ours)
    profiles, missing = profiles_of(facts.models, bench.repository, progress)
    facts = replace(facts, models=with_alone(facts.models, profiles))
    findings = diagnose(facts)
    windows = {"one client": facts.quiet, f"{asked.clients} clients": facts.loaded}
    return Diagnosis(
        findings=findings,
        shares={name: time_shares(m) for name, m in windows.items() if m},
        profiles=profiles,
        applied=_applied(bench, facts, findings, profiles, asked, progress) if asked.apply else None,
        not_examined=(*missing, *_not_examined(facts, is_ours)),
    )


def _facts(bench: _Bench, asked: Asked, progress: Progress, *, is_ours: bool) -> Facts:
    """The windows: the first requests, one client, hardly any load, and many clients."""
    first_s: tuple[float, ...] = ()
    first = replace(AS_SERVED, name="first")
    if is_ours:
        progress("the first requests after the load")
        load = Concurrency(clients=1, duration_s=FIRST_LOADS_S, warmup_s=0.0)
        bench.measure(first, load)
        records = read_records(bench.run / trial_key(first, load) / RECORDS)
        first_s = tuple(((records.done_ns - records.sent_ns) / 1e9)[:FIRST].tolist())
    # Every instance has a first request; none of them may fall into the windows that are compared.
    bench.measure(first, Concurrency(clients=max(2, asked.clients), duration_s=FIRST_LOADS_S, warmup_s=0.0))
    progress("one client")
    quiet = bench.measure(AS_SERVED, Concurrency(clients=1, duration_s=asked.window_s, warmup_s=0.5))
    slow = None
    if quiet.throughput_per_s:
        progress("hardly any load")
        rate = SLOW_SHARE * quiet.throughput_per_s
        slow = bench.measure(AS_SERVED, RequestRate(rate_per_s=rate, duration_s=asked.window_s, warmup_s=0.5))
    progress(f"{asked.clients} clients")
    loaded = bench.measure(AS_SERVED, _loaded(asked))
    here, local = environment_here(), is_on_loopback(bench.endpoint)
    return Facts(
        models=served_models(bench.endpoint, bench.models),
        cores=here.cores if local else 0.0,
        memory_bytes=here.memory_bytes if local else None,
        quiet=quiet,
        loaded=loaded,
        slow=slow,
        clients=asked.clients,
        first_s=first_s,
        json_share=json_share(bench.run / "requests"),
        has_gpu=bool(here.gpus),
    )


def _loaded(asked: Asked) -> Concurrency:
    return Concurrency(clients=asked.clients, duration_s=1.5 * asked.window_s, warmup_s=0.5)


def _not_examined(facts: Facts, is_ours: bool) -> tuple[str, ...]:
    texts = []
    if not is_ours:
        texts.append("the cold start, since the server was running already")
    if facts.quiet is not None and facts.quiet.split is None:
        texts.append("queue, batches and instances, since the server has no statistics")
    if facts.loaded is not None and facts.loaded.server is None:
        texts.append("idle cores and spinning threads, since the server's processes cannot be seen from here")
    return tuple(texts)


def _applied(
    bench: _Bench,
    facts: Facts,
    findings: tuple[Finding, ...],
    profiles: dict[str, OnnxProfile],
    asked: Asked,
    progress: Progress,
) -> Applied | None:
    """The first remedy that is a setting, loaded and measured like before."""
    chosen = next((f for f in findings if f.change), None)
    if chosen is None or facts.quiet is None or facts.loaded is None:
        return None
    if bench.repository is None or not bench.repository.is_dir():
        raise UsageError("--apply needs the repository that is served", mend="--repository DIR")
    progress(f"applying: {chosen.remedy}")
    remedy = replace(REMEDY, config=chosen.change)
    load_changes(bench.endpoint, bench.repository, remedy, {})
    quiet = bench.measure(remedy, Concurrency(clients=1, duration_s=asked.window_s, warmup_s=0.5))
    loaded = bench.measure(remedy, _loaded(asked))
    models = with_alone(served_models(bench.endpoint, bench.models), profiles)
    after = diagnose(replace(facts, models=models, quiet=quiet, loaded=loaded, slow=None, first_s=()))
    return Applied(
        limit=chosen.limit,
        change=dict(chosen.change),
        p50_before_s=_median_s(facts.quiet),
        p50_after_s=_median_s(quiet),
        throughput_before_per_s=facts.loaded.throughput_per_s,
        throughput_after_per_s=loaded.throughput_per_s,
        findings_after=tuple(dict.fromkeys(f.limit for f in after)),
    )


def _median_s(measurement: Measurement) -> float:
    return measurement.latency.at(0.5).value_s if measurement.latency.quantiles else float("nan")
