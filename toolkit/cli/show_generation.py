"""How a generation looks: its text as it comes, and what a reader felt, in a line; and its `--json` document."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from toolkit.cli.show import document, out
from toolkit.records import to_data

if TYPE_CHECKING:
    from toolkit.serve.server import Endpoint
    from toolkit.serve.token_stream import Timed
    from toolkit.workflow.generate import Generated


def served(endpoint: Endpoint, openai: str) -> dict[str, Any]:
    """Where a server listens, as a document; `openai` is empty where that is not spoken."""
    told = {name: value for name, value in to_data(endpoint).items() if name != "authorization"}
    return told | ({"openai": openai} if openai else {})


def piece(quiet: bool) -> Callable[[Timed], None]:
    """What shows a piece of text at once, or nothing."""

    def shown(timed: Timed) -> None:
        if not quiet:
            out.print(timed.piece.text, end="", markup=False, soft_wrap=True)
            out.file.flush()

    return shown


def generated(answer: Generated, *, as_json: bool) -> None:
    """A line behind the text that was shown already; or the document."""
    if as_json:
        document(_document(answer))
        return
    tpot = "" if answer.tpot_s is None else f", {1e3 * answer.tpot_s:.2f} ms per token after it"
    ended = f", ended by {answer.finish_reason}" if answer.finish_reason else ""
    out.print(f"\n[{answer.tokens} tokens{ended}; first after {1e3 * answer.ttft_s:.2f} ms{tpot}]", markup=False)


def _document(answer: Generated) -> dict[str, Any]:
    told = {name: getattr(answer, name) for name in ("prompt", "text", "token_ids", "tokens", "input_tokens")}
    return told | {
        "finish_reason": answer.finish_reason,
        "ttft_ms": 1e3 * answer.ttft_s,
        "tpot_ms": None if answer.tpot_s is None else 1e3 * answer.tpot_s,
        "gaps_ms": [1e3 * gap for gap in answer.gaps_s],
    }
