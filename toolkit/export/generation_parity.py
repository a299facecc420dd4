"""Whether an exported language model says what the original says: greedy tokens, logits, perplexity.

In: an artifact's folder as the worker leaves it. Out: a ParityResult, and generation.json with what each prompt gave.
The model is run through its cache, a token at a time, on the original's own tokens, so that one difference does not
hide the next. Tokens count up to the first step at which the original's two best logits are closer than TIE: there,
rounding decides. fp32 must agree in every token that counts; int4 is judged by perplexity and by how often the
likeliest token is the same, against a budget.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import ModelRefused
from toolkit.export.arrays import Array, read_arrays
from toolkit.export.difference import OutputParity, Tolerance, compare_output
from toolkit.export.onnxruntime import open_onnx, runtime_errors
from toolkit.export.parity import ParityResult, TaskResult
from toolkit.export.spec import GENERATION_FILE, MODEL_FILE, REFERENCE_FILE, Budget, ExportSpec
from toolkit.models.language_model import LanguageModel, read_language_model
from toolkit.records import write_json

TIE = 1e-4
#: Behind the last token of a sequence, where several are padded to one length.
NONE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """One prompt: how many tokens were compared, the step of the first tie and of the first difference (or None)."""

    prompt: int
    compared: int
    tie: int | None
    difference: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFit:
    """How well a text is predicted. Perplexity = exp(-mean log probability of each token after those before it)."""

    perplexity: float
    reference_perplexity: float
    tokens: int
    same_best: int

    @property
    def ratio(self) -> float:
        """Perplexity over the original's: 1 is as good, 1.1 is a tenth worse."""
        return self.perplexity / self.reference_perplexity

    @property
    def agreement(self) -> float:
        """The share of tokens at which both find the same one likeliest."""
        return self.same_best / self.tokens


def check_generation(folder: Path, spec: ExportSpec) -> ParityResult:
    """Compare model.onnx with reference.npz and write generation.json. Raises ModelRefused when it does not run."""
    reference, described = read_arrays(folder / REFERENCE_FILE), read_language_model(folder)
    session = open_onnx(folder / MODEL_FILE)
    try:
        if spec.precision == "int4":
            fit = text_fit(reference, _text_logits(session, described, reference["text_ids"]))
            write_json(folder / GENERATION_FILE, {"text": fit, "budget": spec.budget})
            return judge_fit(fit, spec.budget)
        answers = _continued(session, described, reference)
    except runtime_errors() as err:
        reason = (str(err).strip().splitlines() or [type(err).__name__])[0]
        raise ModelRefused(f"{folder / MODEL_FILE}: ONNX Runtime cannot run it with its cache: {reason}") from err
    prompts = continuations(reference, answers["tokens"])
    write_json(folder / GENERATION_FILE, {"tie": TIE, "prompts": prompts})
    return judge_tokens(prompts, _compared(reference, answers, spec.tolerance))


def continuations(reference: Mapping[str, Array], tokens: Array) -> tuple[Continuation, ...]:
    """Where each row of `tokens` [n, T] first ties and first differs; what follows a tie does not count.

    Rows may be padded with NONE, which has to be answered too and is not counted as a token.
    """
    found = []
    for row, (margins, expected, got) in enumerate(zip(reference["margins"], reference["tokens"], tokens, strict=True)):
        tie = _first(margins < TIE)
        until = len(margins) if tie is None else tie
        difference = _first(expected[:until] != got[:until])
        compared = int((expected[:until] != NONE).sum())
        found.append(Continuation(prompt=row, compared=compared, tie=tie, difference=difference))
    return tuple(found)


def judge_tokens(prompts: tuple[Continuation, ...], outputs: tuple[OutputParity, ...] = ()) -> ParityResult:
    """The verdict on fp32: every token that counts is the original's, and the logits are within tolerance."""
    wrong = [p for p in prompts if p.difference is not None]
    ties, compared = sum(p.tie is not None for p in prompts), sum(p.compared for p in prompts)
    reasons = [f"prompt {p.prompt} differs at token {p.difference}" for p in wrong[:3]]
    reasons += [f"output '{o.output}': {o.problem or f'{o.mismatches} logits differ'}" for o in outputs if not o.passed]
    if not compared:
        reasons.append("nothing was compared")
    said = (
        f"{compared} greedy tokens of {len(prompts)} prompts compared, {len(wrong)} prompts differ, {ties} end in a tie"
    )
    return ParityResult(
        passed=not reasons,
        reason="; ".join([*reasons, said]),
        samples=len(prompts),
        batch_sizes=(1,),
        outputs=outputs,
        task=TaskResult(
            metric="prompts continued alike",
            reference=1.0,
            answers=1 - len(wrong) / max(1, len(prompts)),
            samples=len(prompts),
            disagreements=len(wrong),
        ),
    )


def text_fit(reference: Mapping[str, Array], logits: Array) -> TextFit:
    """The fit of `logits` [m, L-1, vocabulary] to the reference's text, in float64."""
    wide = logits.astype(np.float64)
    total = np.log(np.exp(wide - wide.max(-1, keepdims=True)).sum(-1)) + wide.max(-1)
    chosen = np.take_along_axis(wide, reference["text_ids"][:, 1:, None].astype(np.int64), -1)[..., 0]
    return TextFit(
        perplexity=math.exp(-float((chosen - total).mean())),
        reference_perplexity=math.exp(-float(reference["text_log_probability"].mean(dtype=np.float64))),
        tokens=int(chosen.size),
        same_best=int((logits.argmax(-1) == reference["text_best"]).sum()),
    )


def judge_fit(fit: TextFit, budget: Budget) -> ParityResult:
    """The verdict on int4: perplexity and agreement against what was allowed beforehand."""
    passed = fit.ratio <= budget.perplexity_ratio and fit.agreement >= budget.top1_agreement
    reason = (
        f"perplexity {fit.reference_perplexity:.4g} -> {fit.perplexity:.4g}, x{fit.ratio:.3f}"
        f" (allowed x{budget.perplexity_ratio:g}); the likeliest token is the same in {fit.agreement:.1%} of"
        f" {fit.tokens} (at least {budget.top1_agreement:.0%})"
    )
    return ParityResult(
        passed=passed,
        reason=reason,
        samples=fit.tokens,
        batch_sizes=(),
        outputs=(),
        task=TaskResult(
            metric="perplexity (lower is better)",
            reference=fit.reference_perplexity,
            answers=fit.perplexity,
            samples=fit.tokens,
            disagreements=fit.tokens - fit.same_best,
        ),
    )


def _first(flags: Array) -> int | None:
    return int(flags.argmax()) if flags.any() else None


def _compared(
    reference: Mapping[str, Array], answers: Mapping[str, Array], tolerance: Tolerance | None
) -> tuple[OutputParity, ...]:
    names = ("logits", "token_logits")
    return tuple(compare_output(name, reference[name], answers[name], tolerance) for name in names)


def _continued(session: Any, described: LanguageModel, reference: Mapping[str, Array]) -> dict[str, Array]:
    """The model's own choice at every step of the original's continuations, and its logits for the original's."""
    rows: list[dict[str, Array]] = []
    for ids, length, tokens in zip(
        reference["prompt_ids"], reference["prompt_lengths"], reference["tokens"], strict=True
    ):
        step = _stepper(session, described, 1)
        logits = [step(ids[None, :length])[0]]
        logits += [step(tokens[None, i : i + 1])[0] for i in range(len(tokens) - 1)]
        all_steps = np.stack(logits)
        rows.append(
            {
                "tokens": all_steps.argmax(-1).astype(np.int32),
                "token_logits": all_steps[np.arange(len(tokens)), tokens],
                "logits": all_steps[0],
            }
        )
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _text_logits(session: Any, described: LanguageModel, ids: Array) -> Array:
    step = _stepper(session, described, len(ids))
    return np.stack([step(ids[:, i : i + 1]) for i in range(ids.shape[1] - 1)], axis=1)


def _stepper(session: Any, described: LanguageModel, rows: int) -> Callable[[Array], Array]:
    """A function of the next tokens [rows, n] that gives the logits after the last, [rows, vocabulary]."""
    shape = (rows, described.kv_heads, 0, described.head_size)
    names = [f"{layer}.{part}" for layer in range(described.layers) for part in ("key", "value")]
    cache = [np.zeros(shape, described.cache_dtype)] * len(names)
    takes = {value.name for value in session.get_inputs()}
    outputs = ["logits", *(f"present.{name}" for name in names)]

    def step(tokens: Array) -> Array:
        nonlocal cache
        past, new = cache[0].shape[2], tokens.shape[1]
        feed = {"input_ids": tokens.astype(np.int64), "attention_mask": np.ones((rows, past + new), np.int64)}
        if "position_ids" in takes:
            feed["position_ids"] = np.tile(np.arange(past, past + new), (rows, 1))
        feed |= {f"past_key_values.{name}": array for name, array in zip(names, cache, strict=True)}
        logits, *cache = session.run(outputs, feed)
        return np.asarray(logits)[:, -1]

    return step
