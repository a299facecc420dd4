"""The words of a report that a reader outside the field may not know, each in one or two sentences."""

from __future__ import annotations

GLOSSARY = (
    ("SLO", "Service-level objective: the criteria that were written down before the run; all must hold together."),
    ("p50, p90, p95, p99", "Latency percentiles: 50, 90, 95 and 99 of 100 requests were answered within this time."),
    ("Throughput", "Answered requests divided by the length of the measured window."),
    ("95 % interval", "Where the true value lies in 19 of 20 repetitions of the same measurement."),
    (
        "Effective samples",
        "Requests divided by how strongly neighbours in time resemble each other; the number that evidence counts.",
    ),
    ("UNDECIDED", "The effective samples neither prove nor refute the criterion. A longer measurement decides it."),
    ("INVALID", "Something other than the server set the figures, so the point is neither judged nor ranked."),
    ("Closed loop", "Each client sends its next request when the last one is answered, so load follows the server."),
    (
        "Open loop",
        "Requests are sent on a schedule, whatever the server does; latency counts from the scheduled moment.",
    ),
    ("Offered rate", "The requests per second that an open loop meant to send; the throughput is what was answered."),
    (
        "Send lag",
        "How much later than intended a request was really sent; the load generator's fault, so it is watched.",
    ),
    ("Queue, input, infer, output", "Time in the server: waiting, gathering the batch, running the model, answering."),
    (
        "Network, client, remainder",
        "Time outside the models: on the wire, in the load generator, unexplained.",
    ),
    (
        "Side by side",
        "What a pipeline's steps take together beyond the latency, because some of them run at the same time.",
    ),
    ("Batch size mean", "Requests that the server ran together in one execution, on average."),
    ("Goodput", "Requests that keep every time limit of the objective, a second, or as a share of all."),
    ("TTFT", "Time to first token: from the intended send of a request to the first response of its stream."),
    ("TPOT", "Time per output token of a request: the mean gap between its responses after the first."),
    ("ITL", "Inter-token latency: every gap between two responses of a stream counts alike, so that stalls show."),
    ("Parity", "Whether the served model gives the same answers as the original model, element by element."),
    ("Tolerance", "How far an element may be off: an absolute part, and a part relative to the reference."),
)
