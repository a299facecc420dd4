"""What the replicas need besides being there: network, memory, storage, cores, power, and time to start.

In: what one replica was seen to use, and what it is asked. Out: Resources with their arithmetic. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.size.figure import Figure, combined, given, seen
from toolkit.size.footprint import Footprint
from toolkit.size.plan import Asked, Replicas, Resource

#: What HTTP and TCP/IP put around a body, roughly: headers of both, and a frame's for each full packet.
HEADER_BYTES = 300
BITS = 8
#: Above this share of a link, a queue at the NIC shows in the tail of the latency.
NIC_SHARE = 0.5
GIB, MIB = float(1 << 30), float(1 << 20)


def resources_of(footprint: Footprint, asked: Asked, count: Replicas, busiest_per_s: float) -> tuple[Resource, ...]:
    """Everything that was seen or follows from it; what nobody looked at is left out."""
    rows = (
        *_network(footprint, asked, busiest_per_s, count),
        *_seen(footprint, count),
        *_storage(footprint, count),
        *_start(footprint, asked, count),
    )
    return tuple(rows)


def _resource(name: str, unit: str, each: Figure, count: Replicas, note: str = "") -> Resource:
    total = combined(lambda x: x * count.recommended, each, how=f"x {count.recommended} replicas")
    return Resource(name=name, unit=unit, per_replica=each, total=total, note=note)


def _network(footprint: Footprint, asked: Asked, rate_per_s: float, count: Replicas) -> Iterator[Resource]:
    """Payload bytes times the rate of a replica while the spare ones are away, in each direction."""
    rate = given(rate_per_s, "requests per second of one replica at the peak, with the spare ones away")
    sizes = []
    if footprint.request_bytes:
        mean = sum(footprint.request_bytes) / len(footprint.request_bytes)
        sizes.append(("in", seen(footprint.request_bytes, "the requests of the run", value=mean)))
    if footprint.response_bytes is not None:
        sizes.append(("out", given(footprint.response_bytes + HEADER_BYTES, "the model's outputs, and headers")))
    for way, size in sizes:
        each = combined(
            lambda b, r: b * r * BITS / 1e9, size, rate, how=f"{size.value:,.0f} bytes x {rate_per_s:,.4g}/s x 8"
        )
        yield _resource(f"Network {way}", "Gbit/s", each, count, _nic_note(each, asked))


def _nic_note(each: Figure, asked: Asked) -> str:
    if asked.nic_bytes_per_s is None:
        return "say --nic 25Gbit to see its share of the link"
    link = asked.nic_bytes_per_s * BITS / 1e9
    share = each.value / link
    text = f"{100 * share:.2g} % of a {link:g} Gbit/s link"
    if share <= NIC_SHARE:
        return text
    return f"{text}: the network is the limit here. A faster NIC, smaller payloads, or a DPU that takes the work of it"


def _seen(footprint: Footprint, count: Replicas) -> Iterator[Resource]:
    fields = (
        ("memory_bytes", "Memory", "GiB", 1 / GIB, "resident in the server's processes, over the measured points"),
        ("server_cores", "CPU of the server", "cores", 1.0, "used at the measured points"),
        ("power_w", "Power of the GPUs", "W", 1.0, "mean over each measured window, by NVML"),
    )
    for field, name, unit, scale, how in fields:
        found = footprint.figure(field, how)
        if found is not None:
            each = combined(lambda x, scale=scale: x * scale, found, how=how)
            yield _resource(name, unit, each, count)


def _storage(footprint: Footprint, count: Replicas) -> Iterator[Resource]:
    if footprint.repository_bytes:
        size = footprint.repository_bytes / MIB
        each = Figure(value=size, low=size, high=size, basis="measured", how="the model repository of the run")
        yield _resource("Storage", "MiB", each, count, "of each replica's own copy; a shared volume holds it once")


def _start(footprint: Footprint, asked: Asked, count: Replicas) -> Iterator[Resource]:
    """Cold start: fetching the repository at the storage's bandwidth, then loading it as the log showed."""
    load = footprint.figure("load_s", "from Triton's log: first 'loading' to last 'successfully loaded'")
    if load is None:
        return
    note = "say --storage 500MB/s to add the time that fetching the models takes; the image's pull comes on top"
    if asked.storage_bytes_per_s:
        fetch = footprint.repository_bytes / asked.storage_bytes_per_s
        load = combined(lambda s: s + fetch, load, how=f"{fetch:.3g} s to fetch, {load.value:.3g} s to load")
        note = "the pull of the server's image comes on top"
    waves = -(-count.recommended // max(count.during_update - count.recommended, 1))
    update = combined(lambda s: s * waves, load, how=f"{waves} waves of {count.during_update - count.recommended}")
    yield Resource(name="Cold start, and a rolling update", unit="s", per_replica=load, total=update, note=note)
