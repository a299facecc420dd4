"""Tuning and diagnosing in a notebook: the race as it goes, and what limits the served model with its remedy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ipywidgets as widgets
from IPython.display import display

from toolkit.errors import UsageError
from toolkit.load.duration import seconds_from_text
from toolkit.records import read_json
from toolkit.report.race_chart import race_chart
from toolkit.report.share_chart import share_chart
from toolkit.tune.objective import Objective
from toolkit.tune.tuned import Tuned
from toolkit.tune.words import percent_text, rate_text, time_text
from toolkit.workflow.diagnose import Asked as Look
from toolkit.workflow.diagnose import run_diagnose
from toolkit.workflow.diagnosis import Applied, Diagnosis
from toolkit.workflow.report import TUNED
from toolkit.workflow.sweep import Sweep
from toolkit.workflow.tune import Asked, run_tune
from toolkit.workshop import actions
from toolkit.workshop.live import Live, Stopped
from toolkit.workshop.opened import Opened
from toolkit.workshop.plain import plainly
from toolkit.workshop.show import Table, View, note, picture, same_as
from toolkit.workshop.turn import turn

MODEL_REPO = Path("model_repo")
#: What smoke sizes make of a search.
SMOKE_BUDGET = "10s"
MOST_ROWS = 8


@plainly
def tune(opened: Opened, *, budget: str = "60s", slo: str | None = None) -> Path:
    """Let configurations race for the highest rate within the SLO, and show the race. Returns its run folder.

    Stop keeps every finished trial; the same call goes on from there.
    """
    budget = SMOKE_BUDGET if opened.poc.smoke else budget
    settings = opened.tune_settings
    action = actions.tune(opened.poc, budget=budget, slo=slo, settings=settings)
    same_as(action)
    asked = Asked(target=str(opened.poc.folder), slo=slo, repository=MODEL_REPO, objective=Objective())
    asked = replace(asked, budget_s=seconds_from_text(budget), smoke=opened.poc.smoke, settings=settings, resume=True)
    race = LiveRace(asked.budget_s)
    race.show()
    try:
        with turn(opened.root, opened.poc.name):
            run, _ = run_tune(asked, command=action.line, root=opened.root, progress=race.say, watch=race.watch)
    except Stopped:
        if race.run is None:
            raise UsageError("stopped before the race began", mend="run the cell again") from None
        run = race.run  # what was tried by then is there, decided
    finally:
        race.finish()
    display(race_of(run))
    display(standings(run))
    return run


class LiveRace:
    """The race of a search, redrawn after each trial."""

    def __init__(self, budget_s: float) -> None:
        self._budget_s, self._live = budget_s, Live("Tuning", hint="stops after the running trial; all trials are kept")
        self.show = self._live.show
        self.say = self._live.say
        self._last = ""
        self.run: Path | None = None

    def watch(self, run: Path, found: Tuned) -> None:
        """Draw what the search comes to by now."""
        self.run = run
        self._live.draw((race_chart(found),), key=run.name)
        self._live.best(found.decision.sentence if found.decision.candidate else "")
        self._live.budget(found.spent_s, self._budget_s)
        self._last = f"{len(found.standings)} of {found.configurations} configurations tried in {found.spent_s:.0f} s"

    def finish(self) -> None:
        """Leave one line."""
        self._live.end(self._last or "nothing was tried")


@plainly
def race_of(run: Path) -> View:
    """The race of a finished search as a picture."""
    return picture(race_chart(read_json(run / TUNED, Tuned)), key=run.name)


@plainly
def standings(run: Path) -> Table:
    """The configurations that a search tried, the chosen one first, and why not the others."""
    found = read_json(run / TUNED, Tuned)
    rows = tuple(
        (s.candidate, s.settings, rate_text(s.rate_per_s) if s.rate_per_s else "", s.reason)
        for s in found.standings[:MOST_ROWS]
    )
    columns = ("configuration", "settings", "requests/s", "why")
    return Table(columns=columns, rows=rows, caption=found.decision.sentence)


@plainly
def diagnose(run: Path, *, window: str = "2s", apply: bool = False) -> Path:
    """What limits the model of a run: where the time goes, each limit with its figure, and its remedy.

    apply: load the first remedy that is a setting and measure again. Returns the run folder of the diagnosis.
    """
    action = actions.diagnose(run, window=window, apply=apply)
    same_as(action)
    sweep = Sweep(target=str(run), url=None, repository=MODEL_REPO, samples=None, inputs=(), slo=None)
    asked = Look(target=sweep, window_s=seconds_from_text(window), apply=apply)
    live = Live("Diagnosing", hint="stops after the running window")
    live.show()
    root = run.parent.parent
    try:
        with turn(root, run.parent.name):
            folder, found = run_diagnose(asked, command=action.line, root=root, progress=live.say)
    except Stopped as err:
        raise UsageError(
            f"stopped before '{err}'", mend="run the cell again; a diagnosis needs all of its windows"
        ) from None
    finally:
        live.end("done")
    display(shares(found, key=folder.name))
    display(findings(found))
    return folder


def shares(found: Diagnosis, *, key: str = "") -> View:
    """Where the mean request's time goes, with one client and with many, as shares."""
    said = "; ".join(
        f"with {when}: " + ", ".join(f"{name} {percent_text(share)}" for name, share in parts.items() if share >= 0.01)
        for when, parts in found.shares.items()
        if parts
    )
    return (
        picture(share_chart(found.shares), key=key)
        if said
        else View(widget=widgets.HTML(note(NO_SHARES)), text=NO_SHARES)
    )


NO_SHARES = "The server tells no parts of its time, so there is nothing to split."


def findings(found: Diagnosis) -> Table:
    """The verdict, and each limit with its evidence and its remedy."""
    rows = tuple((f.limit, f.model, f.evidence, f.remedy) for f in found.findings)
    named = ", ".join(dict.fromkeys(f.limit for f in found.findings))
    verdict = f"What limits it: {named}" if named else "Nothing is named: every figure is below its threshold"
    more = (("remedy measured", "", _applied_text(found.applied), ""),) if found.applied else ()
    unseen = tuple(("not examined", "", text, "") for text in found.not_examined)
    return Table(columns=("limit", "model", "evidence", "remedy"), rows=(*rows, *more, *unseen), caption=verdict)


def _applied_text(applied: Applied) -> str:
    p50 = f"p50 with one client {time_text(applied.p50_before_s)} -> {time_text(applied.p50_after_s)}"
    before, after = rate_text(applied.throughput_before_per_s), rate_text(applied.throughput_after_per_s)
    return f"against '{applied.limit}': {p50}; with many {before} -> {after} requests/s"
