"""`toolkit bundle verify`: a compose bundle brought up on this machine, tried from every side, and taken down.

In: a bundle's folder. Out: a Verification, also written as verify.json. Whatever ends it (an error, Ctrl-C, `kill -9`),
nothing of it is left: the guard of its stack sees to that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from toolkit.deploy.lock import OBSERVERS, BundleLock, read_lock
from toolkit.environment import Environment, environment_here
from toolkit.errors import UsageError
from toolkit.records import write_json
from toolkit.serve.compose import compose_program, compose_version, run_compose
from toolkit.serve.docker_engine import connect
from toolkit.serve.prometheus import prometheus_is_ready
from toolkit.workflow.bundle_checks import (
    Check,
    check_closed_apis,
    check_dashboard,
    check_hardening,
    check_health,
    check_rules,
    check_slo,
    check_smoke,
)
from toolkit.workflow.bundle_images import Images, choose_images
from toolkit.workflow.bundle_load import Rate, SloTest, compared, recommended_rate, slo_test
from toolkit.workflow.bundle_stack import Stack, answers, images_of, ready_path, stack_of, start, take_down, wait_for
from toolkit.workflow.runs import Progress

RESULT = "verify.json"
READY_TIMEOUT_S = 300.0
TRITON, PROMETHEUS, GRAFANA = "triton", *OBSERVERS


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """What a verification was asked. `rate_per_s` None is what the run recommends; `image` None is chosen."""

    rate_per_s: float | None = None
    duration_s: float = 20.0
    image: str | None = None
    timeout_s: float = READY_TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What came of trying a bundle on this machine. `images` are those that ran, by service."""

    bundle: str
    run: str
    model: str
    program: str
    images: dict[str, str]
    environment: Environment
    started: str
    checks: tuple[Check, ...]
    test: SloTest | None

    @property
    def passed(self) -> bool:
        """Whether no check failed and none was left undecided."""
        return not any(check.outcome in ("failed", "undecided") for check in self.checks)


def verify_bundle(folder: Path, options: VerifyOptions, progress: Progress) -> Verification:
    """Bring a bundle up, try it, take it down, and write what was found into the bundle as verify.json.

    Raises ConfigurationError for a folder that is no bundle, UsageError for one of another target, MissingDependency or
    EnvironmentProblem for what this machine lacks, ServerTrouble for a service that does not come up.
    """
    lock = _compose_lock(folder)
    rate = _rate(lock, options)
    program, client = compose_program(), connect()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    environment = environment_here()
    images = choose_images(client, folder, lock, options.image)
    gpu = lock.gpu and bool(environment.gpus)
    with stack_of(client, folder, images.used, gpu=gpu) as stack:
        checks = list(_came_up(stack, folder, images, options, progress))
        ran = images_of(stack)
        test = _tested(stack, folder, lock, rate, options, progress)
        checks += _judged(test, lock, environment, ran[stack.serving])
        checks += _observed(stack, folder, images, gpu=gpu, progress=progress)
        checks.append(_down(stack, progress))
    verification = Verification(
        bundle=str(folder),
        run=lock.run,
        model=lock.model,
        program=compose_version(program),
        images=ran,
        environment=environment,
        started=started,
        checks=tuple(checks),
        test=test,
    )
    write_json(folder / RESULT, verification)
    return verification


def _compose_lock(folder: Path) -> BundleLock:
    lock = read_lock(folder)
    if lock.target != "compose":
        raise UsageError(
            f"{folder} is for {lock.target}; a bundle for compose can be tried on one machine",
            mend=f"toolkit deploy {lock.run} --target compose --output DIR",
        )
    return lock


def _rate(lock: BundleLock, options: VerifyOptions) -> Rate | None:
    if options.rate_per_s is not None:
        return Rate(per_s=options.rate_per_s, source="as asked")
    return recommended_rate(lock)


def _came_up(stack: Stack, folder: Path, images: Images, options: VerifyOptions, progress: Progress) -> Iterator[Check]:
    """Start everything that can be, and try what answers inference requests."""
    for service, own in images.stand_ins.items():
        yield Check(name=f"image: {service}", outcome="told", text=f"{images.used[service]} in the place of {own}")
    if images.own_recipe:
        progress("building the bundle's own image")
        run_compose(stack.project, "--profile", "serving", "build", stack.serving)
    observers = [service for service in (PROMETHEUS, GRAFANA) if service not in images.skipped]
    progress(f"starting {', '.join((stack.serving, *observers))}")
    start(stack, stack.serving, *observers)
    address = stack.address(stack.serving, 8000)
    seconds = wait_for(stack, stack.serving, partial(answers, address, ready_path(folder)), options.timeout_s)
    yield Check(name="start", outcome="ok", text=f"{stack.serving} is ready after {seconds:.1f} s")
    progress("the smoke test")
    yield from check_smoke(folder, address)
    if stack.serving == TRITON:
        yield check_closed_apis(address)
    yield check_hardening(stack, (stack.serving, *observers))


def _tested(
    stack: Stack, folder: Path, lock: BundleLock, rate: Rate | None, options: VerifyOptions, progress: Progress
) -> SloTest | None:
    if rate is None:
        return None
    progress(f"{rate.per_s:,.4g} requests/s for {options.duration_s:g} s")
    return slo_test(folder, lock, stack.endpoint(), rate, options.duration_s)


def _judged(test: SloTest | None, lock: BundleLock, environment: Environment, image: str) -> Iterator[Check]:
    if test is None:
        text = "the run chose nothing, so no rate is recommended; give one with --rate"
        yield Check(name="SLO", outcome="undecided", text=text)
        return
    yield check_slo(test)
    if lock.figures is not None:
        text = compared(test, lock.figures, environment.summary(), image)
        yield Check(name="beside the run", outcome="told", text=text)


def _observed(stack: Stack, folder: Path, images: Images, *, gpu: bool, progress: Progress) -> Iterator[Check]:
    """Ask Prometheus what the bundle's rules and dashboard ask, then the services' own health checks."""
    for service, why in images.skipped.items():
        yield Check(name=service, outcome="skipped", text=why)
    running = [stack.serving]
    if PROMETHEUS not in images.skipped:
        progress("asking Prometheus what the dashboard asks")
        address = stack.address(PROMETHEUS, 9090)
        wait_for(stack, PROMETHEUS, partial(prometheus_is_ready, address), READY_TIMEOUT_S)
        yield check_rules(folder, address)
        yield check_dashboard(folder, address, gpu=gpu)
        running.append(PROMETHEUS)
    if GRAFANA not in images.skipped:
        address = stack.address(GRAFANA, 3000)
        wait_for(stack, GRAFANA, partial(answers, address, "/api/health"), READY_TIMEOUT_S)
        running.append(GRAFANA)
    yield check_health(stack, tuple(running))


def _down(stack: Stack, progress: Progress) -> Check:
    progress("taking everything down")
    left = take_down(stack)
    text = "no container, network or volume of it is left"
    return Check(name="down", outcome="failed" if left else "ok", text=f"left: {', '.join(left)}" if left else text)
