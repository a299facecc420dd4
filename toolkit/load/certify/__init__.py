"""The load engine's certificate: a trial against null servers of known behaviour, judged by their logs, and kept.

| module | what it holds |
|---|---|
| honest_rate | up to which rate the engine keeps its schedule with CPU to spare |
| accuracy | what the engine says of requests, beside what the null server's log says of the same |
| certification | everything that a trial found; findings, verdict, Certificate |
| trial | the trial itself |
| store | where certificates lie |
"""
