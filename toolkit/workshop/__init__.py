"""What the notebooks use: one call, one view. Views show values that the library made; nothing is computed here.

Every call prints the command line and the Python call that do the same; every error is a plain message with its mend.
A call that is made again takes what is there (a run folder), also after a kernel restart.

| call | gives | shows |
|---|---|---|
| preflight() | Table | what is here and what is missing, with the mend |
| open_poc(folder, model=, settings=) | Opened | title, SLO, configurations, loads; `.poc` is the library's value |
| pick_model(opened) | Picker, `.opened` | a path or an upload, checked on the spot |
| inspect(opened) | Table | framework, parameters, signature |
| build(opened) | run folder | export with parity, repository, linter |
| parity(run) | Table | every exported model beside its original |
| configure(run, entry) | Editor, `.settings` | fields with the linter's remarks, and the diff |
| serve(run) | Server | what is ready and where; `clean_up(server)` ends it |
| predict(question, choices), check(prediction, answer) | Prediction | PASS or FAIL with a hint |
| measure(opened) | run folder | the live curve with SLO line, best, time left, warnings, Stop |
| proven(run) | None | PASS, FAIL or OPEN for answers, linter, completeness; the same words on every machine |
| curve(run), where_time_goes(run), pareto(run), explore(run) | View | what was measured |
| stream(run, prompt) | Streamed | tokens as they come, TTFT and ITL |
| tune(opened, budget=) | run folder | the race as it goes, and its standings |
| diagnose(run, apply=) | run folder | verdict, evidence, remedy |
| size(run, peak=, headroom=, price=) | View | sliders that redraw the plan |
| decision(run) | Card | GO, GO WITH CONDITIONS, NO-GO or UNDECIDED |
| report(run) | Table | the files of the report |
| deploy(run, target=), bundle(folder) | View | the bundle's tree with a look into each file |
| latest(name) | run folder or None | what another notebook measured |
| decided(runs), handover(runs) | Table | what several notebooks decided, as one report and one bundle |
| clean_up(*servers) | Table | |
"""

from __future__ import annotations

from toolkit.workshop.curves import curve, explore, pareto, where_time_goes
from toolkit.workshop.deciding import bundle, decision, deploy
from toolkit.workshop.editing import configure
from toolkit.workshop.exercises import (
    BATCHES,
    WAITS,
    batch,
    check,
    configurations,
    loads,
    predict,
    slowest_wait,
    turning_point,
    winner,
)
from toolkit.workshop.guide import build, clean_up, inspect, latest, measure, parity, preflight, proven, report, serve
from toolkit.workshop.handing_over import decided, handover
from toolkit.workshop.opened import open_poc
from toolkit.workshop.picking import pick_model
from toolkit.workshop.plain import explain_missing_names
from toolkit.workshop.sizing import size
from toolkit.workshop.streaming import stream
from toolkit.workshop.tuning import diagnose, race_of, standings, tune

__all__ = [
    "BATCHES",
    "WAITS",
    "batch",
    "build",
    "bundle",
    "check",
    "clean_up",
    "configurations",
    "configure",
    "curve",
    "decided",
    "decision",
    "deploy",
    "diagnose",
    "explore",
    "handover",
    "inspect",
    "latest",
    "loads",
    "measure",
    "open_poc",
    "pareto",
    "parity",
    "pick_model",
    "predict",
    "preflight",
    "proven",
    "race_of",
    "report",
    "serve",
    "size",
    "slowest_wait",
    "standings",
    "stream",
    "tune",
    "turning_point",
    "where_time_goes",
    "winner",
]

explain_missing_names()
