"""Talking to a running Triton over HTTP: readiness, metadata, statistics, loading and single inferences.

In: an Endpoint. Out: plain values, or ServerTrouble with the server's own words. One short-lived connection a call,
standard library only; load is driven elsewhere. It does not know who started the server.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from toolkit.errors import ServerTrouble, UsageError
from toolkit.serve.server import Endpoint
from toolkit.tensor import BATCH, Signature, TensorSpec, dtype_from_name

if TYPE_CHECKING:
    from toolkit.serve.wire import Array

TIMEOUT_S = 30.0
LOAD_TIMEOUT_S = 300.0


def endpoint_from_url(url: str) -> Endpoint:
    """The Endpoint of `http://host:port` or `host:port`. Raises UsageError for anything else."""
    mend = "write it as http://host:port, for example http://127.0.0.1:8000"
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http":
        raise UsageError(f"--url '{url}': {parts.scheme}:// is not supported yet, only http://", mend=mend)
    try:
        host, port = parts.hostname, parts.port
    except ValueError as err:
        raise UsageError(f"--url '{url}': {err}", mend=mend) from err
    if not host or not port or parts.path.strip("/") or parts.query or parts.username:
        raise UsageError(f"--url '{url}' is not an address of a server", mend=mend)
    return Endpoint(http=f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


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
    batching = int(model_config(endpoint, model).get("max_batch_size", 0)) > 0
    sides = [tuple(_spec(tensor, batching) for tensor in metadata[side]) for side in ("inputs", "outputs")]
    return Signature(inputs=sides[0], outputs=sides[1])


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
        raise _trouble(endpoint, f"model '{model}'", status, answer)
    length = headers.get(wire.HEADER_LENGTH)
    return wire.infer_response(answer, int(length) if length else None)


def _model_path(model: str, suffix: str = "") -> str:
    return f"/v2/models/{quote(model, safe='')}{suffix}"


def _json(endpoint: Endpoint, method: str, path: str, value: Any = None, timeout_s: float = TIMEOUT_S) -> Any:
    body = None if value is None else json.dumps(value).encode()
    status, _, answer = _exchange(endpoint, method, path, body, timeout_s=timeout_s)
    if status != 200:
        raise _trouble(endpoint, f"{method} {path}", status, answer)
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
    connection = http.client.HTTPConnection(endpoint.http, timeout=timeout_s)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    except TimeoutError as err:
        raise ServerTrouble(f"{endpoint.http}: {method} {path} was not answered within {timeout_s:g} s") from err
    except (OSError, http.client.HTTPException) as err:
        raise ServerTrouble(
            f"{endpoint.http}: {method} {path} failed: {err or type(err).__name__}",
            mend="check the address, or start a server with: toolkit serve",
        ) from err
    finally:
        connection.close()


def _trouble(endpoint: Endpoint, what: str, status: int, answer: bytes) -> ServerTrouble:
    try:
        words = str(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError):
        words = answer.decode(errors="replace").strip()[:500] or "no message"
    return ServerTrouble(f"{endpoint.http}: {what}: {words} (HTTP {status})")
