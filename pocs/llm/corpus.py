"""The text that the model learns: the topics that Python's help() explains, which every Python ships."""

from __future__ import annotations

from pydoc_data.topics import topics

END = "<|end|>"
#: One topic in so many is kept back, to see that the model learns and does not recite.
HELD_OUT = 12


def documents() -> list[str]:
    """Every topic that is learned, in the order of names."""
    return [prose(name) for number, name in enumerate(sorted(topics)) if number % HELD_OUT]


def held_out() -> list[str]:
    """Every topic that is not."""
    return [prose(name) for number, name in enumerate(sorted(topics)) if not number % HELD_OUT]


def prose(name: str) -> str:
    """A topic without its layout: a model this small would learn little else than to break lines."""
    return " ".join(topics[name].split())
