"""A server of known behaviour, for trying the load engine: a queue of known service times, streams, planted faults.

In: a Behaviour. Out: a process of its own that speaks enough of KServe v2 over HTTP to be swept like any server, and a
log of what really happened: when each inference arrived, when it was due and when it had been sent, on the monotonic
clock that the load engine reads too. Tensors are not looked at. People start it with
`python -m toolkit.load.null_server`, whose `--help` names its options.

| module | what it holds |
|---|---|
| behaviour | the value that says how it behaves |
| messages | requests and answers as bytes |
| log | what it writes down; both sides of the same request brought together |
| exchange, server | one connection; the loop over all of them |
| process | the context manager that runs it |
"""

from __future__ import annotations

from toolkit.load.null_server.behaviour import Behaviour, Fault
from toolkit.load.null_server.log import Paired, ServerLog, paired
from toolkit.load.null_server.messages import ANSWER, MODEL, answers_request, null_requests
from toolkit.load.null_server.process import NullServer, null_server, read_log

__all__ = [
    "ANSWER",
    "MODEL",
    "Behaviour",
    "Fault",
    "NullServer",
    "Paired",
    "ServerLog",
    "answers_request",
    "null_requests",
    "null_server",
    "paired",
    "read_log",
]
