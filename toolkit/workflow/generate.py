"""One generation from a served model, for eyes: its tokens as they come, and when.

In: an endpoint, an entry that takes a prompt, and how to sample. Out: a Generated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from toolkit.errors import UsageError
from toolkit.serve.client import endpoint_from_url
from toolkit.serve.generation import Sampling, generates_text, generation_request, input_names
from toolkit.serve.server import Endpoint
from toolkit.serve.token_stream import Timed, stream_pieces
from toolkit.workflow.sweep import served_config

#: What is continued where nothing else is asked.
PROMPT = "The import statement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """A whole generation: its text, tokens and end, the time to its first token and the gaps between the others.

    Times in seconds. A response counts as a token where the server does not tell ids.
    """

    prompt: str
    text: str
    token_ids: tuple[int, ...]
    tokens: int
    input_tokens: int | None
    finish_reason: str
    ttft_s: float
    gaps_s: tuple[float, ...]

    @property
    def tpot_s(self) -> float | None:
        """The mean gap between its tokens; None of a single one."""
        return sum(self.gaps_s) / len(self.gaps_s) if self.gaps_s else None


def generating(url: str, model: str, prompt: str | None = None) -> Endpoint | None:
    """The endpoint, where this model takes a prompt; None for one that takes tensors.

    Raises ServerTrouble, and UsageError for a prompt to such a one.
    """
    endpoint = endpoint_from_url(url)
    if generates_text(served_config(endpoint, model)):
        return endpoint
    if prompt is not None:
        raise UsageError(f"{model} takes tensors and no prompt", mend="--samples FILE, or leave --prompt out")
    return None


def generate_once(
    endpoint: Endpoint,
    model: str,
    prompt: str,
    sampling: Sampling,
    *,
    show: Callable[[Timed], None] = lambda timed: None,
) -> Generated:
    """Send one prompt; `show` gets every piece as it comes. Raises ServerTrouble, UsageError for an empty prompt."""
    if not prompt:
        raise UsageError("the prompt is empty", mend="--prompt 'a few words'")
    request = generation_request(prompt, sampling, input_names(served_config(endpoint, model)), details=True)
    came = []
    for timed in stream_pieces(endpoint, model, request):
        came.append(timed)
        show(timed)
    pieces, times_s = [timed.piece for timed in came], [timed.after_s for timed in came]
    ids = tuple(token for piece in pieces for token in piece.token_ids)
    return Generated(
        prompt=prompt,
        text="".join(piece.text for piece in pieces),
        token_ids=ids,
        tokens=len(ids) or len(pieces),
        input_tokens=next((p.input_tokens for p in pieces if p.input_tokens is not None), None),
        finish_reason=pieces[-1].finish_reason if pieces else "",
        ttft_s=times_s[0] if times_s else 0.0,
        gaps_s=tuple(after - before for before, after in pairwise(times_s)),
    )
