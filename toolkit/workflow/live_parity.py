"""Parity through the live server: the same answers when many clients ask at once and the server batches them.

Requests are sent concurrently and each answer is compared with the reference of its own input, which the exporter's
worker computed at batch 1. The outcome is INVALID, not passed, unless the statistics show that every batching model
of the pipeline really executed at two or more batch sizes above 1.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from toolkit.errors import ServerTrouble
from toolkit.export.parity import (
    BatchEvidence,
    LiveParity,
    ParityResult,
    TaskMetric,
    Tolerance,
    join_rows,
)
from toolkit.families.asking import Questions
from toolkit.load.ask import Answer, ask
from toolkit.load.telemetry import model_splits, snapshot
from toolkit.serve.server import Endpoint

ROUNDS = 8
#: Between rounds: a scheduler that lets client and server take turns, so that no requests meet, needs time to change.
PAUSE_S = 0.1
BATCH_SIZES_NEEDED = 2
#: Of a server that decodes step by step: sequences in one step, on average.
ROWS_NEEDED = 2.0


def check_live_parity(
    endpoint: Endpoint,
    batching: Sequence[str],
    questions: Questions,
    *,
    clients: int,
    tolerance: Tolerance | None = None,
    task: TaskMetric | None = None,
) -> LiveParity:
    """Ask all questions concurrently, in seeded random orders, until every model in `batching` has really batched.

    At most ROUNDS rounds of `clients` at most; every answer of every round is compared. Raises ServerTrouble when
    nothing was answered.
    """
    since = (questions.watch or watch_statistics)(endpoint, tuple(batching))
    asked, failures, worst = 0, Counter[str](), None
    evidence: tuple[BatchEvidence, ...] = ()
    for round_ in range(ROUNDS):
        time.sleep(PAUSE_S * round_)
        order = _order(len(questions.requests), round_)
        answers = _ask_in_order(endpoint, questions, order, clients_of_round(clients, round_))
        asked += len(answers)
        failures.update(a.error for a in answers if a.error)
        result = _compare(questions, answers, tolerance, task)
        worst = result if worst is None or worst.passed else worst
        evidence = since()
        if not worst.passed or all(_has_batched(e) for e in evidence):
            break
    outcome, reason = _outcome(worst, failures, evidence)
    return LiveParity(
        outcome=outcome,
        reason=reason,
        requests=asked,
        clients=clients,
        failures=failures.total(),
        result=worst,
        evidence=evidence,
    )


def clients_of_round(clients: int, round_: int) -> int:
    """How many ask in a round: all, three quarters, half, and again.

    Where a model answers faster than clients ask, all of them wait for each other and every batch has the same size.
    """
    return clients - clients * (round_ % 3) // 4


def _order(count: int, seed: int) -> list[int]:
    import numpy as np

    return [int(i) for i in np.random.default_rng(seed).permutation(count)]


def _ask_in_order(endpoint: Endpoint, questions: Questions, order: list[int], clients: int) -> list[Answer]:
    """Send the requests in `order`; return the answers in the requests' own order."""
    requests = [questions.requests[i] for i in order]
    answers = dict(zip(order, ask(endpoint, requests, clients=clients, protocol=questions.protocol), strict=True))
    return [answers[i] for i in range(len(requests))]


def _compare(
    questions: Questions, answers: list[Answer], tolerance: Tolerance | None, task: TaskMetric | None
) -> ParityResult:
    """Compare the answered questions; unanswered ones are counted as failures by the caller."""
    rows = [i for i, a in enumerate(answers) if not a.error]
    if not rows:
        raise ServerTrouble(f"no request of the live parity was answered; the first said: {answers[0].error}")
    decoded = [questions.decode(answers[i]) for i in rows]
    served, problems = join_rows(decoded, [1] * len(rows))
    reference = {name: array[rows] for name, array in questions.reference.items()}
    labels = questions.labels[rows] if questions.labels is not None else None
    asked_for = {name: array for name, array in served.items() if name in reference}
    return questions.comparing(reference, asked_for, tolerance, task=task, labels=labels, problems=problems)


def watch_statistics(endpoint: Endpoint, batching: tuple[str, ...]) -> Callable[[], tuple[BatchEvidence, ...]]:
    """Executions by batch size since now, by Triton's statistics."""
    before = snapshot(endpoint, batching)
    return lambda: _evidence(before, snapshot(endpoint, batching))


def _evidence(before: Any, after: Any) -> tuple[BatchEvidence, ...]:
    splits = model_splits(before, after)
    return tuple(
        BatchEvidence(model=s.model, executions={str(b.size): b.executions for b in s.batches if b.executions})
        for s in splits
    )


def _has_batched(evidence: BatchEvidence) -> bool:
    if evidence.mean_rows is not None:
        return evidence.mean_rows >= ROWS_NEEDED
    return sum(int(size) > 1 for size in evidence.executions) >= BATCH_SIZES_NEEDED


def _outcome(
    result: ParityResult | None, failures: Counter[str], evidence: tuple[BatchEvidence, ...]
) -> tuple[str, str]:
    if failures:
        ((error, count),) = failures.most_common(1)
        return "FAIL", f"{failures.total()} requests were not answered, {count} of them with: {error}"
    if result is None or not result.passed:
        return "FAIL", result.reason if result else "nothing was compared"
    idle = [e.model for e in evidence if not _has_batched(e)]
    if idle:
        names = ", ".join(idle)
        return (
            "INVALID",
            f"{names} did not execute at {BATCH_SIZES_NEEDED} batch sizes above 1, so batching is unproven"
            if all(e.mean_rows is None for e in evidence)
            else f"{names} did not decode {ROWS_NEEDED:g} sequences in one step on average, so batching is unproven",
        )
    return "PASS", "every answer equals the reference of its own input while the server was batching"
