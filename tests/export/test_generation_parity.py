"""The verdict on what a language model says: tables of tokens, margins and likelihoods; no model."""

from __future__ import annotations

import math

import numpy as np
import pytest

from toolkit.export.generation_parity import TIE, TextFit, continuations, judge_fit, judge_tokens, text_fit
from toolkit.export.spec import Budget

CLEAR = [1.0, 1.0, 1.0, 1.0]
TIED = [1.0, 1.0, TIE / 2, 1.0]


@pytest.mark.parametrize(
    ("margins", "got", "compared", "tie", "difference"),
    [
        (CLEAR, [5, 6, 7, 8], 4, None, None),
        (CLEAR, [5, 9, 7, 8], 4, None, 1),
        (TIED, [5, 6, 9, 9], 2, 2, None),
        (TIED, [9, 6, 7, 8], 2, 2, 0),
        ([TIE / 2, *CLEAR[1:]], [9, 9, 9, 9], 0, 0, None),
    ],
    ids=["equal", "differs", "differs-after-a-tie", "differs-before-it", "tied-from-the-start"],
)
def test_tokens_count_up_to_the_first_tie(margins, got, compared, tie, difference):
    reference = {"margins": np.array([margins]), "tokens": np.array([[5, 6, 7, 8]])}
    (found,) = continuations(reference, np.array([got]))
    assert (found.compared, found.tie, found.difference) == (compared, tie, difference)


def judged(*rows: tuple[list[float], list[int]]):
    reference = {"margins": np.array([m for m, _ in rows]), "tokens": np.tile([5, 6, 7, 8], (len(rows), 1))}
    return judge_tokens(continuations(reference, np.array([got for _, got in rows])))


def test_one_different_token_fails_and_a_tie_is_said():
    good = judged((CLEAR, [5, 6, 7, 8]), (TIED, [5, 6, 0, 0]))
    assert good.passed
    assert good.reason == "6 greedy tokens of 2 prompts compared, 0 prompts differ, 1 end in a tie"
    bad = judged((CLEAR, [5, 6, 7, 8]), (CLEAR, [5, 6, 7, 0]))
    assert not bad.passed
    assert bad.reason.startswith("prompt 1 differs at token 3; ")
    assert (bad.task.answers, bad.task.disagreements) == (0.5, 1)


def test_nothing_compared_is_no_pass():
    assert not judged(([0.0] * 4, [5, 6, 7, 8])).passed


def test_the_fit_of_a_text():
    likely = np.log([[0.5, 0.25], [0.25, 0.25]])
    reference = {
        "text_ids": np.array([[0, 1, 2], [0, 2, 1]]),
        "text_log_probability": likely,
        "text_best": np.array([[1, 2], [1, 1]]),
    }
    probability = np.array([[[0.25, 0.5, 0.25], [0.5, 0.25, 0.25]], [[0.25, 0.5, 0.25], [0.25, 0.5, 0.25]]])
    # Logits are known up to a constant of each position.
    fit = text_fit(reference, (np.log(probability) + np.array([[[3.0], [0.0]], [[-2.0], [9.0]]])).astype(np.float32))
    assert fit.reference_perplexity == pytest.approx(math.exp(-likely.mean()))
    assert fit.perplexity == pytest.approx(math.exp(-(2 * math.log(0.5) + 2 * math.log(0.25)) / 4))
    assert (fit.tokens, fit.same_best, fit.agreement) == (4, 3, 0.75)


@pytest.mark.parametrize(
    ("perplexity", "same", "passed"), [(10.9, 95, True), (11.1, 95, False), (10.0, 89, False), (9.0, 90, True)]
)
def test_int4_is_judged_by_a_budget_that_is_stated(perplexity, same, passed):
    fit = TextFit(perplexity=perplexity, reference_perplexity=10.0, tokens=100, same_best=same)
    result = judge_fit(fit, Budget(perplexity_ratio=1.1, top1_agreement=0.9))
    assert result.passed is passed
    assert "allowed x1.1" in result.reason
    assert "at least 90%" in result.reason
