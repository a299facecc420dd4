"""Iteration-level scheduling: who has a slot, whose prompt is read next, and what every iteration gave.

In: admitted sequences. Out: Steps, one for each token, in order. An iteration reads at most `prefill_chunk` tokens of
prompts, so that a long one does not stall those that are being written, and then writes one token for every sequence
that has read its prompt. Knows nothing of Triton; one thread calls `iterate`, any thread may call the rest.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

import llm_sampling
from llm_request import Refused
from llm_text import TextStream

CANCELLED = "cancelled"


@dataclass(eq=False)
class Sequence:
    """One request on its way through: its prompt as ids, what was written, and when.

    `cancelled_at` is set by whoever learns that the client has gone: how many tokens were written by then. `texts` and
    `unsent` are what was written and not yet answered.
    """

    request: object
    prompt: list
    sender: object = None
    arrived: float = field(default_factory=time.monotonic)
    cancelled_at: int | None = None
    texts: list = field(default_factory=list)
    unsent: int = 0
    slot: int = -1
    read: int = 0
    written: list = field(default_factory=list)
    last_time: float = 0.0
    text: TextStream | None = None
    random: object = None
    limit: int = 0

    @property
    def wasted(self):
        """Tokens that were written after it was known that nobody reads them."""
        return 0 if self.cancelled_at is None else len(self.written) - self.cancelled_at


@dataclass(frozen=True)
class Step:
    """One more token of a sequence, or its end without one. `gap` is since the token before, or the arrival.

    `finish` is empty while the sequence goes on, else stop, length, cancelled or an error's text. `position` counts
    the tokens up to this one.
    """

    sequence: Sequence
    token: int | None
    text: str
    finish: str
    gap: float
    position: int

    @property
    def is_first(self):
        """Whether it is the sequence's first token."""
        return self.position == 1


class Scheduler:
    """Slots and the queue before them."""

    def __init__(self, engine, tokenizer, end_tokens, *, queue_limit, prefill_chunk):
        self.engine, self.tokenizer, self.end_tokens = engine, tokenizer, frozenset(end_tokens)
        self.queue_limit, self.prefill_chunk = queue_limit, prefill_chunk
        self.waiting = deque()
        self.running = {}
        self.changed = threading.Condition()
        self.iterations = 0

    def admit(self, request, sender=None):
        """Queue a request and return its Sequence. Raises Refused for a full queue and a prompt that does not fit."""
        prompt = self.tokenizer.encode(request.text).ids
        room = self.engine.max_length - len(prompt)
        if not prompt:
            raise Refused("text_input has no tokens")
        if room < 1:
            raise Refused(
                f"the prompt has {len(prompt)} tokens, and the context holds {self.engine.max_length} (max_length)"
                " with at least one token of output"
            )
        sampling = request.sampling
        sequence = Sequence(request, prompt, sender, limit=min(sampling.max_tokens, room))
        sequence.text = TextStream(self.tokenizer, sampling.stop, include_stop=sampling.include_stop_str_in_output)
        sequence.random = llm_sampling.generator(sampling.seed)
        with self.changed:
            free = self.engine.slots - len(self.running)
            if len(self.waiting) - free >= self.queue_limit:
                raise Refused(
                    f"the queue is full: {len(self.waiting)} requests wait and {len(self.running)} run;"
                    f" try again later (queue_limit {self.queue_limit})",
                    "UNAVAILABLE",
                )
            self.waiting.append(sequence)
            self.changed.notify()
        return sequence

    def wait_for_work(self, timeout):
        """Return when there is something to do, or after `timeout` seconds; whether there is."""
        with self.changed:
            return self.changed.wait_for(lambda: bool(self.waiting or self.running), timeout)

    def iterate(self):
        """One iteration: yields Steps as they come, those of prompts that were read before those of the batch."""
        yield from self._drop_cancelled()
        self._fill_slots()
        self.iterations += 1
        yield from self._read_prompts()
        yield from self._write()

    def fail_all(self, reason):
        """End everything that runs and waits."""
        with self.changed:
            ending = [*self.running.values(), *self.waiting]
            self.waiting.clear()
        return [self._end(sequence, reason) for sequence in ending]

    def silent(self, steps):
        """Sequences that run or wait and are in none of `steps`."""
        seen = {id(step.sequence) for step in steps}
        with self.changed:
            return [s for s in (*self.running.values(), *self.waiting) if id(s) not in seen]

    def _drop_cancelled(self):
        with self.changed:
            gone = [s for s in self.waiting if s.cancelled_at is not None]
            for sequence in gone:
                self.waiting.remove(sequence)
        gone += [s for s in self.running.values() if s.cancelled_at is not None]
        return [self._end(sequence, CANCELLED) for sequence in gone]

    def _fill_slots(self):
        with self.changed:
            free = (slot for slot in range(self.engine.slots) if slot not in self.running)
            for slot, sequence in zip(free, tuple(self.waiting), strict=False):
                self.waiting.popleft()
                sequence.slot = slot
                self.running[slot] = sequence

    def _read_prompts(self):
        """Read prompts, the oldest first, until this iteration's share is used up."""
        share = self.prefill_chunk
        unread = [s for s in self.running.values() if s.read < len(s.prompt)]
        for sequence in sorted(unread, key=lambda s: s.arrived):
            if share < 1:
                return
            tokens = sequence.prompt[sequence.read : sequence.read + share]
            logits = self.engine.prefill(sequence.slot, tokens)
            sequence.read += len(tokens)
            share -= len(tokens)
            if sequence.read == len(sequence.prompt):
                yield self._step(sequence, self._chosen(sequence, logits))

    def _write(self):
        writing = {slot: s for slot, s in self.running.items() if s.written}
        if not writing:
            return
        logits = self.engine.decode({slot: s.written[-1] for slot, s in writing.items()})
        greedy = logits.argmax(-1)
        for slot, sequence in writing.items():
            plain = sequence.request.sampling.temperature == 0 and not self._banned(sequence)
            token = int(greedy[slot]) if plain else self._chosen(sequence, logits[slot])
            yield self._step(sequence, token)

    def _banned(self, sequence):
        too_short = len(sequence.written) < sequence.request.sampling.min_tokens
        return tuple(self.end_tokens) if too_short else ()

    def _chosen(self, sequence, logits):
        return llm_sampling.choose(logits, sequence.request.sampling, sequence.random, self._banned(sequence))

    def _step(self, sequence, token):
        """Take a token in: what may be shown of it, and whether it is the last."""
        sampling, now = sequence.request.sampling, time.monotonic()
        sequence.written.append(token)
        count = len(sequence.written)
        gap, sequence.last_time = now - (sequence.last_time or sequence.arrived), now
        if token in self.end_tokens and not sampling.ignore_eos:
            text, finish = sequence.text.rest(), "stop"
        else:
            text = sequence.text.add(token, may_stop=count >= sampling.min_tokens)
            finish = "stop" if sequence.text.stopped else "length" if count >= sequence.limit else ""
            if finish == "length":
                text += sequence.text.rest()
        if finish:
            self._free(sequence)
        return Step(sequence, token, text, finish, gap, count)

    def _end(self, sequence, reason):
        self._free(sequence)
        return Step(sequence, None, "", reason, 0.0, 0)

    def _free(self, sequence):
        if sequence.slot >= 0:
            del self.running[sequence.slot]
            self.engine.free(sequence.slot)
            sequence.slot = -1
