"""What a command line says about load, as loads: lists of clients or rates, a ramp, a trace. Pure but for a trace file.

In: options as they were typed, None where they were not. Out: loads, or a UsageError that says which option to drop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from toolkit.errors import UsageError
from toolkit.load.duration import seconds_from_text
from toolkit.load.loadgen_scenario import Scenario, ScenarioName, scenario_from
from toolkit.load.pattern import MAX_CONNECTIONS, Arrival, Concurrency, Load, Ramp, RequestRate
from toolkit.load.slo import slo_from_text
from toolkit.load.trace_file import Unit, trace_from_file

N = TypeVar("N", int, float)

CLIENTS = "1,2,4,8"
DURATION = "10s"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """At most one of `concurrency`, `rate`, `ramp`, `trace` and `scenario`; the rest shapes it.

    A scenario takes some of the others: `server` one rate, `multi-stream` and `offline` one number of clients.
    """

    concurrency: str | None = None
    rate: str | None = None
    ramp: str | None = None
    trace: Path | None = None
    trace_unit: Unit | None = None
    scenario: ScenarioName | None = None
    arrival: Arrival | None = None
    variation: float | None = None
    max_connections: int | None = None
    duration: str | None = None


def loads_from_options(options: LoadOptions) -> tuple[Load, ...]:
    """The loads to measure, in the order given; none for a scenario. Raises UsageError."""
    _check(options)
    if options.scenario is not None:
        return ()
    if options.rate is not None:
        return _rates(options, options.rate)
    if options.ramp is not None:
        return (_ramp(options, options.ramp),)
    if options.trace is not None:
        unit = options.trace_unit or "s"
        return (trace_from_file(options.trace, unit=unit, max_connections=_connections(options)),)
    clients = _numbers("--concurrency", options.concurrency or CLIENTS, int)
    duration_s, warmup_s = _times(options)
    return tuple(Concurrency(clients=n, duration_s=duration_s, warmup_s=warmup_s) for n in clients)


def scenario_from_options(options: LoadOptions, slo: str | None) -> Scenario | None:
    """The scenario that is asked for, None where there is none. Raises UsageError."""
    if options.scenario is None:
        return None
    return scenario_from(
        options.scenario,
        rate_per_s=_one("--rate", options.rate, float),
        slo=slo_from_text(slo) if slo else None,
        clients=_one("--concurrency", options.concurrency, int),
        duration_s=_times(options)[0],
    )


def _one(option: str, text: str | None, kind: Callable[[str], N]) -> N | None:
    if text is not None and "," in text:
        raise UsageError(f"{option} '{text}': a scenario takes one number", mend="sweep once for each")
    return None if text is None else _number(option, text, kind)


#: Which kinds of load an option shapes.
SHAPES = {
    "trace_unit": ("trace",),
    "arrival": ("rate", "ramp"),
    "variation": ("rate",),
    "max_connections": ("rate", "ramp", "trace"),
    "duration": ("concurrency", "rate", "ramp", "scenario"),
}
#: What each MLPerf scenario takes besides: one rate, or one number of clients.
SCENARIOS = {"single-stream": (), "multi-stream": ("concurrency",), "server": ("rate",), "offline": ("concurrency",)}


def _check(options: LoadOptions) -> None:
    """Refuse options that contradict each other, or that would do nothing."""
    kinds = ("scenario", "concurrency", "rate", "ramp", "trace")
    given = [kind for kind in kinds if getattr(options, kind) is not None] or ["concurrency"]
    others = [kind for kind in given[1:] if kind not in SCENARIOS.get(options.scenario or "", ())]
    if others:
        first = f"--scenario {options.scenario}" if options.scenario else f"--{given[0]}"
        raise UsageError(f"{first} and --{others[0]} are two kinds of load", mend="give one, then sweep again")
    for name, shaped in SHAPES.items():
        if getattr(options, name) is not None and given[0] not in shaped:
            option, kinds_text = "--" + name.replace("_", "-"), " or ".join(f"--{kind}" for kind in shaped)
            raise UsageError(f"{option} is for {kinds_text}, not for --{given[0]}", mend=f"drop {option}")
    if options.variation is not None and options.arrival != "gamma":
        raise UsageError("--variation is of gamma arrivals", mend=f"--arrival gamma --variation {options.variation:g}")


def _rates(options: LoadOptions, text: str) -> tuple[Load, ...]:
    duration_s, warmup_s = _times(options)
    return tuple(
        RequestRate(
            rate_per_s=rate,
            arrival=options.arrival or "poisson",
            variation=1.0 if options.variation is None else options.variation,
            duration_s=duration_s,
            warmup_s=warmup_s,
            max_connections=_connections(options),
        )
        for rate in _numbers("--rate", text, float)
    )


def _ramp(options: LoadOptions, text: str) -> Ramp:
    first, dots, last = text.partition("..")
    if not dots:
        raise UsageError(f"--ramp '{text}' is not FROM..TO", mend="--ramp 100..800, in requests per second")
    arrival: Literal["constant", "poisson"] = "constant" if options.arrival == "constant" else "poisson"
    if options.arrival == "gamma":
        raise UsageError("a ramp has constant or poisson arrivals, not gamma", mend="--arrival poisson")
    duration_s, warmup_s = _times(options)
    return Ramp(
        from_per_s=_number("--ramp", first, float),
        to_per_s=_number("--ramp", last, float),
        arrival=arrival,
        duration_s=duration_s,
        warmup_s=warmup_s,
        max_connections=_connections(options),
    )


def _connections(options: LoadOptions) -> int:
    return MAX_CONNECTIONS if options.max_connections is None else options.max_connections


def _times(options: LoadOptions) -> tuple[float, float]:
    """Window and warm-up in seconds."""
    seconds = seconds_from_text(options.duration or DURATION)
    return seconds, min(1.0, seconds / 4)


def _numbers(option: str, text: str, kind: Callable[[str], N]) -> Sequence[N]:
    numbers = [_number(option, part, kind) for part in text.split(",")]
    for number in numbers:
        if numbers.count(number) > 1:
            raise UsageError(f"{option} '{text}' names {number:g} twice", mend="name each load once")
    return numbers


def _number(option: str, text: str, kind: Callable[[str], N]) -> N:
    try:
        return kind(text)
    except ValueError as err:
        example = {"--concurrency": "1,2,4", "--rate": "100,200,400", "--ramp": "100..800"}[option]
        raise UsageError(f"{option}: '{text}' is not a number", mend=f"{option} {example}") from err
