"""The peaks of this CPU, measured: a matrix product for arithmetic, a triad of large arrays for memory.

Out: a Peak, kept per environment, since a number of one machine is never used for another. The matrix product is
numpy's (OpenBLAS or MKL), the triad is STREAM's a = b + s * c (McCalpin 1995); the best of several rounds counts.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import numpy as np

from toolkit.environment import Environment, environment_here
from toolkit.errors import ConfigurationError
from toolkit.records import digest_of_value, read_json, write_json
from toolkit.size.roofline import Peak

#: Of the matrices: large enough that the product is bound by arithmetic; of the triad: far beyond any cache.
SIDE, ELEMENTS = 1536, 1 << 24
ROUNDS = 4


def peak_here(folder: Path) -> Peak:
    """The peaks of this machine: as `folder` keeps them for this environment, else measured (a second or two)."""
    environment = environment_here()
    kept = folder / "peaks" / f"{digest_of_value(environment)[:16]}.json"
    try:
        return read_json(kept, Peak)
    except ConfigurationError:
        found = measure_peak(environment)
        write_json(kept, found)
        return found


def measure_peak(environment: Environment) -> Peak:
    """Measure both peaks, single precision."""
    flops, moved = _best_product(SIDE), _best_triad(ELEMENTS)
    return Peak(
        name=environment.cpu,
        flops_per_s=flops,
        bytes_per_s=moved,
        source=f"measured here: numpy's product of {SIDE} x {SIDE}, and STREAM's triad; the best of {ROUNDS}",
        measured=True,
    )


def _best_product(side: int) -> float:
    """2 n^3 operations over the shortest time."""
    generator = np.random.default_rng(0)
    a, b = (generator.random((side, side), dtype=np.float32) for _ in range(2))
    out = np.empty_like(a)
    times = []
    for _ in range(ROUNDS):
        began = perf_counter()
        np.matmul(a, b, out=out)
        times.append(perf_counter() - began)
    return 2.0 * side**3 / min(times)


def _best_triad(elements: int) -> float:
    """Two steps of numpy, scale and add: five passes over an array, in bytes over the shortest time."""
    b, c = np.ones(elements, np.float32), np.ones(elements, np.float32)
    a = np.empty_like(b)
    times = []
    for _ in range(ROUNDS):
        began = perf_counter()
        np.multiply(c, np.float32(3.0), out=a)
        np.add(a, b, out=a)
        times.append(perf_counter() - began)
    return 5.0 * a.nbytes / min(times)
