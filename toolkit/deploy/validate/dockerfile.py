"""Whether a Dockerfile builds an image that a platform engineer takes: known instructions, a pinned base, no root.

In: its text. Out: an error, or silence. It is not built here.
Source: https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import re

_INSTRUCTION = re.compile(
    "ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|ONBUILD|RUN|SHELL|STOPSIGNAL|USER|VOLUME|WORKDIR"
)
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")
_PINNED = re.compile(r"\S+(:[A-Za-z0-9_][A-Za-z0-9._-]*|@sha256:[0-9a-f]{64})")
_ROOT = ("root", "0")


def check_dockerfile(text: str) -> None:
    """Raise ValueError for the first thing that is wrong, with its line as it stands."""
    instructions = _instructions(text)
    if not any(word == "FROM" for word, _ in instructions):
        raise ValueError("there is no FROM")
    arguments = dict(_argument(rest) for word, rest in instructions if word == "ARG")
    stages: set[str] = {"scratch"}
    for word, rest in instructions:
        if word == "FROM":
            _check_base(rest, arguments, stages)
        if word == "ADD" and re.match(r"https?://", rest):
            raise ValueError(f"ADD {rest}: what a network answers today is not what it answers tomorrow")
    users = [rest for word, rest in instructions if word == "USER"]
    if not users or users[-1].partition(":")[0] in _ROOT:
        raise ValueError("the image runs as root: end it with a USER")


def _instructions(text: str) -> list[tuple[str, str]]:
    """Word and rest of each instruction, continued lines joined, comments and here-documents left out."""
    joined = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    found: list[tuple[str, str]] = []
    end = ""
    for line in joined.splitlines():
        if end:
            end = "" if line.strip() == end else end
            continue
        word, _, rest = line.strip().partition(" ")
        if not word:
            continue
        if not _INSTRUCTION.fullmatch(word.upper()):
            raise ValueError(f"{word!r} is not an instruction of a Dockerfile")
        found.append((word.upper(), rest.strip()))
        here = re.search(r"<<-?[\"']?(\w+)", rest)
        end = here[1] if here else ""
    return found


def _argument(text: str) -> tuple[str, str]:
    name, _, default = text.partition("=")
    return name, default


def _check_base(text: str, arguments: dict[str, str], stages: set[str]) -> None:
    words = [word for word in text.split() if not word.startswith("--")]
    image = _VARIABLE.sub(lambda m: arguments.get(m[1] or m[2], ""), words[0])
    if image not in stages and (not _PINNED.fullmatch(image) or image.endswith(":latest")):
        raise ValueError(f"FROM {text}: {image!r} has no tag or digest that stays what it is")
    if len(words) == 3:
        stages.add(words[2])
