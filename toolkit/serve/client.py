"""Talking to a running Triton over HTTP: readiness, metadata, statistics, loading and single inferences.

In: an Endpoint. Out: plain values, or ServerTrouble with the server's own words. One short-lived connection a call,
standard library only; load is driven elsewhere. It does not know who started the server.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from toolkit.errors import ServerTrouble
from toolkit.serve.server import Endpoint
from toolkit.serve.tls import context_of
from toolkit.serve.url import endpoint_from_url as endpoint_from_url
from toolkit.tensor import BATCH, Signature, TensorSpec, dtype_from_name

if TYPE_CHECKING:
    from toolkit.serve.wire import Array

TIMEOUT_S = 30.0
LOAD_TIMEOUT_S = 300.0
TLS_MEND = "check the host's name and its certificate; SSL_CERT_FILE=ca.pem names the authority that signed it"


def is_ready(endpoint: Endpoint, model: str | None = None, *, timeout_s: float = TIMEOUT_S) -> bool:
    """Whether the server, or one of its models, takes requests. A server that does not answer is not ready."""
    path = _model_path(model, "/ready") if model else "/v2/health/ready"
    try:
        status, _, _ = _exchange(endpoint, "GET", path, timeout_s=timeout_s)
    except ServerTrouble:
        return False
    return status == 200


def server_metadata(endpoint: Endpoint) -> dict[str, Any]:
    """Name, version and extensions of the server. Raises ServerTrouble."""
    return dict(_json(endpoint, "GET", "/v2"))


def model_metadata(endpoint: Endpoint, model: str) -> dict[str, Any]:
    """Platform, versions, inputs and outputs of a model as KServe v2 has them. Raises ServerTrouble."""
    return dict(_json(endpoint, "GET", _model_path(model)))


def model_config(endpoint: Endpoint, model: str) -> dict[str, Any]:
    """The ModelConfig that the server really uses, in proto field names. Raises ServerTrouble."""
    return dict(_json(endpoint, "GET", _model_path(model, "/config")))


def model_signature(endpoint: Endpoint, model: str) -> Signature:
    """A served model's inputs and outputs with their full shapes. Raises ServerTrouble.

    The server does not tell the names of varying axes: the batch axis of a batching model is `batch`, an other one
    is called by its position, `dim_1`.
    """
    metadata = model_metadata(endpoint, model)
    batching = _is_batching(endpoint, model, metadata)
    sides = [tuple(_spec(tensor, batching) for tensor in metadata[side]) for side in ("inputs", "outputs")]
    return Signature(inputs=sides[0], outputs=sides[1])


def _is_batching(endpoint: Endpoint, model: str, metadata: dict[str, Any]) -> bool:
    """Whether the first axis is the batch: as the config says; of a server without one, when it varies in every tensor.

    The config is an extension of Triton's; other servers of KServe v2 know the metadata alone.
    """
    try:
        return int(model_config(endpoint, model).get("max_batch_size", 0)) > 0
    except ServerTrouble:
        return all(tensor["shape"][:1] == [-1] for side in ("inputs", "outputs") for tensor in metadata[side])


def _spec(tensor: dict[str, Any], batching: bool) -> TensorSpec:
    dims = [int(dim) for dim in tensor["shape"]]
    shape = (dim if dim >= 0 else BATCH if batching and axis == 0 else f"dim_{axis}" for axis, dim in enumerate(dims))
    return TensorSpec(name=tensor["name"], dtype=dtype_from_name(tensor["datatype"]).name, shape=tuple(shape))


def statistics(endpoint: Endpoint, model: str) -> dict[str, Any]:
    """A model's cumulative statistics: `inference_stats`, `batch_stats`, counts; times in ns. Raises ServerTrouble."""
    return dict(_json(endpoint, "GET", _model_path(model, "/stats"))["model_stats"][-1])


def repository_index(endpoint: Endpoint) -> tuple[dict[str, Any], ...]:
    """What the server sees in its repository: `name`, `version`, `state`, `reason`. Raises ServerTrouble."""
    return tuple(_json(endpoint, "POST", "/v2/repository/index", {}))


def load_model(
    endpoint: Endpoint, model: str, config_json: str | None = None, *, timeout_s: float = LOAD_TIMEOUT_S
) -> None:
    """Load a model, or load it again with another ModelConfig as JSON; returns when it is ready.

    The server goes on with the former one when the new one fails. Raises ServerTrouble with the model's own error.
    """
    parameters = {} if config_json is None else {"parameters": {"config": config_json}}
    _json(endpoint, "POST", f"/v2/repository/models/{quote(model, safe='')}/load", parameters, timeout_s)


def unload_model(endpoint: Endpoint, model: str, *, timeout_s: float = LOAD_TIMEOUT_S) -> None:
    """Ask the server to unload a model, once its requests in flight are answered. Raises ServerTrouble."""
    _json(endpoint, "POST", f"/v2/repository/models/{quote(model, safe='')}/unload", {}, timeout_s)


def register_shared_memory(endpoint: Endpoint, region: str, *, key: str, size_bytes: int) -> None:
    """Let the server map the POSIX shared memory of that `key` ("/name") under a name. Raises ServerTrouble."""
    _json(endpoint, "POST", _region_path(region, "register"), {"key": key, "offset": 0, "byte_size": size_bytes})


def unregister_shared_memory(endpoint: Endpoint, region: str) -> None:
    """Let the server unmap a region of shared memory. Raises ServerTrouble."""
    _json(endpoint, "POST", _region_path(region, "unregister"), {})


def infer(
    endpoint: Endpoint,
    model: str,
    inputs: Mapping[str, Array],
    *,
    outputs: tuple[str, ...] = (),
    classification: int = 0,
    timeout_s: float = TIMEOUT_S,
) -> dict[str, Array]:
    """One inference; arguments and result as `wire.infer_request` and `wire.infer_response` have them.

    Raises ServerTrouble with the server's message, or when there is no answer within `timeout_s`.
    """
    from toolkit.serve import wire

    header, body = wire.infer_body(inputs, outputs=outputs, classification=classification)
    status, headers, answer = _exchange(
        endpoint, "POST", wire.infer_path(model), body, {wire.HEADER_LENGTH: str(header)}, timeout_s
    )
    if status != 200:
        raise trouble_of(endpoint, f"model '{model}'", status, answer)
    length = headers.get(wire.HEADER_LENGTH)
    return wire.infer_response(answer, int(length) if length else None)


def _model_path(model: str, suffix: str = "") -> str:
    return f"/v2/models/{quote(model, safe='')}{suffix}"


def _region_path(region: str, verb: str) -> str:
    return f"/v2/systemsharedmemory/region/{quote(region, safe='')}/{verb}"


def _json(endpoint: Endpoint, method: str, path: str, value: Any = None, timeout_s: float = TIMEOUT_S) -> Any:
    body = None if value is None else json.dumps(value).encode()
    status, _, answer = _exchange(endpoint, method, path, body, timeout_s=timeout_s)
    if status != 200:
        raise trouble_of(endpoint, f"{method} {path}", status, answer)
    try:
        return json.loads(answer) if answer else None
    except ValueError as err:
        raise ServerTrouble(f"{endpoint.http}: {method} {path} was answered with {answer[:80]!r}, not JSON") from err


def _exchange(
    endpoint: Endpoint,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = connection_to(endpoint, timeout_s)
    own = {"Authorization": endpoint.authorization} if endpoint.authorization else {}
    try:
        connection.request(method, path, body, {**(headers or {}), **own})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    except TimeoutError as err:
        raise ServerTrouble(f"{endpoint.http}: {method} {path} was not answered within {timeout_s:g} s") from err
    except ssl.SSLError as err:
        raise ServerTrouble(f"{endpoint.http}: TLS failed: {_reason(err)}", mend=TLS_MEND) from err
    except socket.gaierror as err:
        raise ServerTrouble(f"the address '{endpoint.http}' is not known: {err}", mend="check host and port") from err
    except (OSError, http.client.HTTPException) as err:
        raise ServerTrouble(
            f"{endpoint.http}: {method} {path} failed: {err or type(err).__name__}",
            mend="check the address, or start a server with: toolkit serve",
        ) from err
    finally:
        connection.close()


def connection_to(endpoint: Endpoint, timeout_s: float) -> http.client.HTTPConnection:
    """A connection of the standard library's, not open yet. Raises ServerTrouble without an HTTP address."""
    if not endpoint.http:
        raise ServerTrouble(
            f"grpc://{endpoint.grpc}: metadata and statistics are read over HTTP, and no HTTP address is known",
            mend=f"give its HTTP address too: --url http://host:8000,grpc://{endpoint.grpc}",
        )
    if endpoint.tls is None:
        return http.client.HTTPConnection(endpoint.http, timeout=timeout_s)
    return http.client.HTTPSConnection(endpoint.http, timeout=timeout_s, context=context_of(endpoint.tls))


def _reason(err: ssl.SSLError) -> str:
    """What OpenSSL says, without its place in the source."""
    return str(getattr(err, "verify_message", "") or err.reason or err)


def trouble_of(endpoint: Endpoint, what: str, status: int, answer: bytes) -> ServerTrouble:
    """The server's own words for a refusal."""
    try:
        words = str(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError):
        words = answer.decode(errors="replace").strip()[:500] or "no message"
    return ServerTrouble(f"{endpoint.http}: {what}: {words} (HTTP {status})")
