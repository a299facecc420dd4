"""Sliders for a plan: the peak, the headroom and the price of a machine; the plan follows from the measured curves."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from toolkit.errors import ToolkitError, UsageError
from toolkit.records import write_json
from toolkit.report.sizing_chart import sizing_chart
from toolkit.size import words
from toolkit.size.demand import demand_from
from toolkit.size.plan import Asked, CapacityPlan
from toolkit.size.prices import PriceBook, Rented
from toolkit.workflow.runs import read_manifest
from toolkit.workflow.size import make_plan, size_run
from toolkit.workshop import actions
from toolkit.workshop.plain import plainly
from toolkit.workshop.show import View, command, drawn, note, same_as

PRICES = "prices.yaml"
WIDE = {"width": "460px"}
LABEL = {"description_width": "150px"}


@plainly
def size(run: Path, *, peak: float, headroom: float = 0.3, price: float = 0.0, currency: str = "EUR") -> View:
    """Replicas and cost for a peak, from the run's curves; sliders change the peak, the headroom and the price.

    price: of an hour of a machine like the measured one; 0 leaves money out. The plan of these arguments is kept in the
    run folder and goes into its report; "Keep this plan" keeps the one that the sliders show.
    """
    planner = Planner(run, currency)
    planner.keep(peak, headroom, price)
    return planner.view(peak, headroom, price)


class Planner:
    """What the sliders ask, and the plan that answers it."""

    def __init__(self, run: Path, currency: str) -> None:
        self._run, self._currency, self._manifest = run, currency, read_manifest(run)
        self._chart, self._said = widgets.HTML(), widgets.HTML()

    def keep(self, peak: float, headroom: float, price: float) -> None:
        """Make the plan, keep it in the run folder and write the report again. Raises UsageError for what is asked.

        That nothing measured allows a plan is a result: the view says it, and the cells below go on.
        """
        asked, book = self._asked(peak, headroom), self._prices(price)
        if book is not None:
            write_json(self._run / PRICES, book)  # JSON is YAML
        same_as(self._action(peak, headroom, price))
        with suppress(UsageError):
            size_run(self._run, asked, prices=str(self._run / PRICES) if book else None)

    def view(self, peak: float, headroom: float, price: float) -> View:
        """The sliders with the plan below them."""
        rate = widgets.FloatLogSlider(
            value=peak, base=10, min=0, max=6, step=0.02, description="peak (requests/s)", readout_format=",.0f"
        )
        room = widgets.FloatSlider(value=headroom, min=0.0, max=0.9, step=0.05, description="headroom (share)")
        hour = widgets.FloatSlider(value=price, min=0, max=20, step=0.05, description=f"price ({self._currency}/hour)")
        button = widgets.Button(description="Keep this plan", icon="save", tooltip="Write it into the run's report")
        controls = (rate, room, hour)
        for control in controls:
            control.continuous_update, control.layout, control.style = False, WIDE, LABEL
            control.observe(lambda _: self.draw(rate.value, room.value, hour.value), names="value")
        button.on_click(lambda _: self._keep_shown(rate.value, room.value, hour.value))
        plan, chart = self.draw(peak, headroom, price)
        widget = widgets.VBox([*controls, self._said, self._chart, button])
        names = {"peak": rate, "headroom": room, "price": hour, "keep": button, "said": self._said}
        return View(widget=widget, text=words.sentence(plan) if plan else "no plan", chart=chart, names=names)

    def draw(self, peak: float, headroom: float, price: float) -> tuple[CapacityPlan | None, Any]:
        """Show the plan for what the sliders say, or why there is none."""
        try:
            plan, _ = make_plan(
                self._run,
                self._manifest,
                self._manifest.subject.slo,
                self._asked(peak, headroom),
                prices=self._prices(price),
            )
        except ToolkitError as err:
            self._said.value, self._chart.value = note(str(err)), ""
            return None, None
        chart = sizing_chart(plan)
        line = self._action(peak, headroom, price).line
        self._said.value = note(words.sentence(plan), strong=True) + command(line)
        self._chart.value = drawn((chart,), key=self._run.name)
        return plan, chart

    def _keep_shown(self, peak: float, headroom: float, price: float) -> None:
        try:
            if (book := self._prices(price)) is not None:
                write_json(self._run / PRICES, book)  # JSON is YAML
            size_run(self._run, self._asked(peak, headroom), prices=str(self._run / PRICES) if book else None)
        except ToolkitError as err:
            self._said.value = note(str(err))
        else:
            self._said.value += note("kept: plan.json and the report say so now")

    def _asked(self, peak: float, headroom: float) -> Asked:
        return Asked(demand=demand_from(peak, headroom=headroom), headroom=headroom)

    def _prices(self, price: float) -> PriceBook | None:
        if not price:
            return None
        prices = {"a machine as measured": Rented(price_per_hour=price)}
        today = datetime.now(UTC).date().isoformat()
        return PriceBook(currency=self._currency, source="typed in the notebook", date=today, prices=dict(prices))

    def _action(self, peak: float, headroom: float, price: float) -> actions.Action:
        book = self._run / PRICES if price else None
        return actions.size(self._run, rate=peak, headroom=headroom, prices=book)
