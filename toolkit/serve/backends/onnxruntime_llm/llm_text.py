"""Tokens to text, a token at a time: whole UTF-8 characters only, and nothing that may yet become a stop string.

Knows nothing of requests. A tokenizer is anything with `decode(ids) -> str`.
"""

from __future__ import annotations

INCOMPLETE = "\ufffd"
#: A character has at most four bytes. More tokens than that without a whole one are no text at all, and are shown so.
MOST_PENDING = 6


class TextStream:
    """The text of one answer as it grows. `add` gives what may be shown; `stopped` says that a stop string was met."""

    def __init__(self, tokenizer, stops=(), *, include_stop=False):
        self.tokenizer, self.stops, self.include_stop = tokenizer, stops, include_stop
        self.ids = []
        # Text of ids[start:shown] was given. Decoding starts before it: some tokens read otherwise at a beginning.
        self.start = self.shown = 0
        self.held = ""
        self.stopped = False

    def add(self, token, *, may_stop=True):
        """The text to show after one more token, often empty."""
        self.ids.append(token)
        before = self.tokenizer.decode(self.ids[self.start : self.shown])
        after = self.tokenizer.decode(self.ids[self.start :])
        if after.endswith(INCOMPLETE) and len(self.ids) - self.shown < MOST_PENDING:
            return ""
        self.start, self.shown = self.shown, len(self.ids)
        return self._released(after[len(before) :], may_stop)

    def rest(self):
        """What was held back, at the end of an answer that no stop string ended."""
        before = self.tokenizer.decode(self.ids[self.start : self.shown])
        pending = self.tokenizer.decode(self.ids[self.start :])[len(before) :]
        text, self.held = self.held + pending, ""
        self.shown = len(self.ids)
        return text

    def _released(self, text, may_stop):
        if not self.stops:
            return text
        self.held += text
        found = [(self.held.find(stop), stop) for stop in self.stops if stop in self.held]
        if found and may_stop:
            at, stop = min(found)
            self.stopped = True
            text, self.held = self.held[: at + (len(stop) if self.include_stop else 0)], ""
            return text
        keep = max(overlap(self.held, stop) for stop in self.stops)
        text, self.held = self.held[: len(self.held) - keep], self.held[len(self.held) - keep :]
        return text


def overlap(text, stop):
    """How many characters at the end of `text` begin `stop`."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
