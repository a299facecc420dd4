"""What limits a served model: every rule over what is known of it. Pure.

In: Facts (findings.py). Out: Findings, causes before their consequences. Rules about the machine and the client are in
diagnose_machine.py, those about models and their settings in diagnose_models.py.
"""

from __future__ import annotations

from toolkit.tune import diagnose_machine, diagnose_models
from toolkit.tune.findings import Facts, Finding


def diagnose(facts: Facts) -> tuple[Finding, ...]:
    """Every limit whose figure is over its threshold."""
    rules = (*diagnose_machine.RULES, *diagnose_models.RULES)
    return tuple(found for rule in rules for found in rule(facts))
