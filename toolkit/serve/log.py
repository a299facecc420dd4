"""What Triton's log says, reduced to what a reader needs. Pure: text in, text out.

A line is `E1121 01:21:28.913397 10600 model_lifecycle.cc:642] "text"`, with `\\n` written out inside the text.
"""

from __future__ import annotations

import re

#: Always there on a machine without a GPU, and harmless.
NOISE = re.compile(r"NVML|DCGM|CudaDriverHelper|CUDA driver|CUDA memory pool|PinnedMemory|pinned memory|GPU metrics")
#: What every start and every stop says, and wide tables of options and backends.
ROUTINE = re.compile(r"^[+|]|\] *$|Collecting CPU metrics|Timeout \d+: Found|TRITONBACKEND_ModelInstance")
ERROR = re.compile(r'^(?:E\d{4} \S+ +\d+ \S+\] "?|error: |\[libprotobuf ERROR [^]]*\] )(.*?)"?\s*$', re.MULTILINE)
#: The errors after which a starting server will not become ready.
FATAL = re.compile(r"failed to load '|Poll failed|failed to start|creating server|failed to resolve|failed to poll")
#: Said once more by another line.
REPEATED = re.compile(r"Failed to (create instance|initialize Python stub)|failed to load all models|No address added")
PORT_TAKEN = re.compile(r"Socket '\S+' already in use")


def tail(text: str, lines: int) -> str:
    """The last lines that tell something."""
    idle = (NOISE, ROUTINE, REPEATED)
    kept = [line for line in text.splitlines() if line.strip() and not any(pattern.search(line) for pattern in idle)]
    return "\n".join(kept[-lines:])


def errors(text: str) -> tuple[str, ...]:
    """The server's own words for what went wrong, each error once, without its traceback."""
    found = (match.group(1) for match in ERROR.finditer(text))
    return tuple(_words(words) for words in found if not NOISE.search(words) and not REPEATED.search(words))


def failure(what: str, text: str) -> str:
    """What failed, the server's own words for why, and the end of its log."""
    causes = "".join(f"\n  {line}" for error in errors(text) for line in error.splitlines())
    end = "".join(f"\n  | {line}" for line in tail(text, 8).splitlines())
    return f"{what}:{causes}\n  the log ends with{end}"


def _words(text: str) -> str:
    return text.partition("\\n\\nAt:")[0].replace("Internal: TritonModelException: ", "").replace("\\n", "\n").strip()


def is_fatal(text: str) -> bool:
    """Whether a server with this log cannot become ready."""
    return any(FATAL.search(match.group(1)) for match in ERROR.finditer(text))


def port_taken(text: str) -> bool:
    """Whether the server found one of its ports in use."""
    return PORT_TAKEN.search(text) is not None
