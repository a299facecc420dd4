"""The command line that does what a call did, so that a notebook can show it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence


def command_line(verb: str, *arguments: object, options: Mapping[str, object] | None = None) -> str:
    """`toolkit VERB ARGUMENTS --option value ...`, quoted for a shell.

    An option that is True stands alone, one that is False or None is left out, a sequence is repeated.
    """
    words = ["toolkit", *verb.split(), *map(str, arguments)]
    for name, value in (options or {}).items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            many = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
            words += [part for one in many for part in (flag, str(one))]
    return shlex.join(words)
