"""Inputs in system shared memory: written once, mapped by the server, and referred to by requests that stay small.

In: an endpoint on this machine and the inputs of several requests. Out: the bytes of those requests, for as long as the
context lasts. Answers come as ever. Source: Triton's extension "System Shared Memory".
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from toolkit.errors import EnvironmentProblem, ServerTrouble, UsageError
from toolkit.serve import client
from toolkit.serve.server import Endpoint
from toolkit.serve.wire import Array, SharedTensor, bytes_from_array, shared_request
from toolkit.serve.wire_grpc import shared_message
from toolkit.tensor import dtype_from_numpy

#: Where Linux keeps POSIX shared memory: `shm_open("/name")` opens the file of that name.
FOLDER = Path("/dev/shm")
ALIGNMENT_BYTES = 64


@contextlib.contextmanager
def requests_in_shared_memory(
    endpoint: Endpoint,
    model: str,
    payloads: Sequence[Mapping[str, Array]],
    *,
    protocol: Literal["http", "grpc"] = "http",
    outputs: tuple[str, ...] = (),
) -> Iterator[tuple[bytes, ...]]:
    """Put the inputs of all requests into one region, and give the requests that refer to it.

    The region is gone from server and machine when the context ends, however it ends; one of a server that we started
    also when this process is killed, since it bears the server's name. Raises UsageError for a server elsewhere or
    without payloads, EnvironmentProblem without room in /dev/shm, ServerTrouble when the server cannot map it.
    """
    check_is_local(endpoint)
    region = f"{client.server_metadata(endpoint)['name']}_inputs_{secrets.token_hex(4)}".replace("/", "_")
    tensors, contents, size_bytes = _laid_out(region, payloads)
    file = FOLDER / region
    try:
        _write(file, contents, size_bytes)
        _register(endpoint, region, size_bytes)
        if protocol == "grpc":
            yield tuple(shared_message(model, inputs, outputs=outputs) for inputs in tensors)
        else:
            yield tuple(shared_request(model, inputs, host=endpoint.http, outputs=outputs) for inputs in tensors)
    finally:
        file.unlink(missing_ok=True)
        with contextlib.suppress(ServerTrouble):  # a server that is gone, or never had it, keeps nothing
            client.unregister_shared_memory(endpoint, region)


def check_is_local(endpoint: Endpoint) -> None:
    """Raises UsageError unless the endpoint is on the loopback address, ServerTrouble for a name that is not known."""
    host = endpoint.http.rpartition(":")[0].strip("[]")
    try:
        address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0]
    except OSError as err:
        raise ServerTrouble(f"the address '{endpoint.http}' is not known: {err}", mend="check host and port") from err
    if not ipaddress.ip_address(address).is_loopback:
        raise UsageError(
            f"{endpoint.http} is another machine, and memory cannot be shared with it",
            mend="leave shared memory out, or measure on the server's own machine at 127.0.0.1",
        )


def _laid_out(
    region: str, payloads: Sequence[Mapping[str, Array]]
) -> tuple[list[tuple[SharedTensor, ...]], list[tuple[int, bytes]], int]:
    """The tensors of each request, what is to be written at which offset, and the size of it all."""
    if not payloads:
        raise UsageError("there is no payload to share")
    tensors, contents, offset = [], [], 0
    for payload in payloads:
        inputs = []
        for name, array in payload.items():
            content = bytes_from_array(array)
            datatype = dtype_from_numpy(array.dtype).name
            inputs.append(
                SharedTensor(
                    name=name, datatype=datatype, shape=array.shape, region=region, offset_bytes=offset,
                    size_bytes=len(content),
                )
            )  # fmt: skip
            contents.append((offset, content))
            offset += -(-len(content) // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        tensors.append(tuple(inputs))
    return tensors, contents, max(offset, ALIGNMENT_BYTES)


def _write(file: Path, contents: Sequence[tuple[int, bytes]], size_bytes: int) -> None:
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size_bytes)  # no room must show here, not as SIGBUS of the server
            for offset, content in contents:
                os.pwrite(descriptor, content, offset)
        finally:
            os.close(descriptor)
    except OSError as err:
        raise EnvironmentProblem(
            f"{size_bytes} bytes of shared memory cannot be had in {FOLDER}: {err.strerror}",
            mend="fewer or smaller payloads; in a container: docker run --shm-size 1g",
        ) from err


def _register(endpoint: Endpoint, region: str, size_bytes: int) -> None:
    try:
        client.register_shared_memory(endpoint, region, key=f"/{region}", size_bytes=size_bytes)
    except ServerTrouble as err:
        raise ServerTrouble(
            f"the server cannot map shared memory of this machine: {err.message}",
            mend="a server in a container shares it with: docker run --ipc=host",
        ) from err
