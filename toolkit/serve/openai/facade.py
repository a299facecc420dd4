"""A small HTTP server that speaks OpenAI in front and Triton's generate extension behind, in a thread of its own.

In: an endpoint and the entries on it that generate text. Out: /v1/models, /v1/completions, /v1/chat/completions, with
streams and usage. Upstream everything is a stream; a client that goes away closes it, which cancels the generation.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from toolkit.errors import EnvironmentProblem, ServerTrouble
from toolkit.serve.event_stream import DONE, Events, data_of
from toolkit.serve.generation import Piece, generation_request, piece_from_event
from toolkit.serve.openai.answer import Identity, answer_body, chunk_body, usage_chunk
from toolkit.serve.openai.chat_template import template_in
from toolkit.serve.openai.request import Ask, Refusal, chat_from, completion_from
from toolkit.serve.server import Endpoint
from toolkit.serve.token_stream import generate_path

HOST = "127.0.0.1"
MAX_BODY_BYTES = 8 << 20
START_TIMEOUT_S = 30.0
#: How errors begin that are the client's, or that mean "later", in our backend's words; a stream has no status.
CLIENTS_ERRORS, BUSY = ("the prompt has", "sampling_parameters", "text_input"), "the queue is full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """An entry that generates text: its name, its inputs, and the folder with its chat template, if it is at hand."""

    name: str
    inputs: frozenset[str]
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facade:
    """Where the facade listens, `host:port`."""

    address: str


class _Handlers:
    """What each path does; lives in the thread's event loop."""

    def __init__(self, endpoint: Endpoint, models: tuple[Model, ...]) -> None:
        self.endpoint, self.models = endpoint, {model.name: model for model in models}
        self.templates = {model.name: template_in(model.folder) for model in models}
        self.created = int(time.time())
        self.session: ClientSession | None = None

    async def life(self, app: web.Application) -> AsyncIterator[None]:
        """The session to Triton, for as long as the application lives."""
        async with ClientSession(timeout=ClientTimeout(total=None, sock_connect=10)) as self.session:
            yield

    async def list_models(self, request: web.Request) -> web.Response:
        """The entries that generate text."""
        return web.json_response({"object": "list", "data": [self._described(name) for name in self.models]})

    async def one_model(self, request: web.Request) -> web.Response:
        """One of them."""
        name = request.match_info["model"]
        self._model(name)
        return web.json_response(self._described(name))

    def _described(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self.created, "owned_by": "triton"}

    def _model(self, name: str) -> Model:
        if name not in self.models:
            known = ", ".join(self.models) or "none"
            raise Refusal(f"there is no model '{name}'; served: {known}", status=404, code="model_not_found")
        return self.models[name]

    async def completions(self, request: web.Request) -> web.StreamResponse:
        """/v1/completions"""
        return await self._answer(request, completion_from(await _body(request)))

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """/v1/chat/completions"""
        body = await _body(request)
        name = body.get("model") if isinstance(body, dict) else None
        template = self.templates[self._model(name).name] if isinstance(name, str) else template_in(None)
        return await self._answer(request, chat_from(body, template))

    async def _answer(self, request: web.Request, ask: Ask) -> web.StreamResponse:
        model = self._model(ask.model)
        kind = "chatcmpl" if ask.is_chat else "cmpl"
        identity = Identity(ask=ask, id=f"{kind}-{uuid.uuid4().hex}", created=int(time.time()))
        pieces = self._pieces(model, ask)
        try:
            if ask.stream:
                return await _streamed(request, identity, pieces)
            return web.json_response(answer_body(identity, [piece async for piece in pieces]))
        finally:
            await pieces.aclose()  # type: ignore[attr-defined]

    async def _pieces(self, model: Model, ask: Ask) -> AsyncIterator[Piece]:
        """The pieces as they come from Triton. Raises Refusal; leaving it early closes the connection to Triton."""
        assert self.session is not None
        body = generation_request(ask.prompt, ask.sampling, model.inputs, details=True)
        scheme = "https" if self.endpoint.tls else "http"
        headers = {"Authorization": self.endpoint.authorization} if self.endpoint.authorization else {}
        events = Events()
        try:
            url = f"{scheme}://{self.endpoint.http}{generate_path(model.name)}"
            async with self.session.post(url, json=body, headers=headers) as response:
                if response.status != 200:
                    raise _refusal(_words(await response.read()), response.status)
                async for data in response.content.iter_any():
                    for event in events.complete_with(data):
                        if event != DONE:
                            yield piece_from_event(event)
        except ServerTrouble as err:
            raise _refusal(err.message, None) from err
        except ClientError as err:
            raise Refusal(f"Triton at {self.endpoint.http} is gone: {err}", status=502) from err


async def _streamed(request: web.Request, identity: Identity, pieces: AsyncIterator[Piece]) -> web.StreamResponse:
    """Send chunks as pieces come. The first piece is waited for, so that a refusal still has its status."""
    first = await anext(pieces, None)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    sent: list[Piece] = []
    try:
        if first is not None:
            sent.append(first)
            await _send(response, chunk_body(identity, first, is_first=True))
        async for piece in pieces:
            sent.append(piece)
            await _send(response, chunk_body(identity, piece))
        if identity.ask.with_usage:
            await _send(response, usage_chunk(identity, sent))
        await response.write(b"data: [DONE]\n\n")
    except Refusal as err:
        await _send(response, err.body())
    await response.write_eof()
    return response


async def _send(response: web.StreamResponse, value: Mapping[str, Any]) -> None:
    await response.write(b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n")


async def _body(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError as err:
        raise Refusal(f"the body is no JSON: {err}") from err


def _words(body: bytes) -> str:
    """The words of an error; Triton writes that of a stream as an event."""
    try:
        return str(json.loads(data_of(body) or body)["error"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:500]


def _refusal(words: str, status: int | None) -> Refusal:
    if words.startswith(BUSY):
        return Refusal(words, status=503, code="queue_full")
    is_clients = words.startswith(CLIENTS_ERRORS) if status is None else 400 <= status < 500
    code = "context_length_exceeded" if words.startswith("the prompt has") else None
    return Refusal(words, status=400 if is_clients else 500, code=code)


@web.middleware
async def _told(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """Refusals and unknown paths as OpenAI's error bodies."""
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except Refusal as err:
        return web.json_response(err.body(), status=err.status)
    except web.HTTPException as err:
        refusal = Refusal(f"{request.method} {request.path}: {err.reason}", status=err.status)
        return web.json_response(refusal.body(), status=err.status)


def _application(endpoint: Endpoint, models: tuple[Model, ...]) -> web.Application:
    handlers = _Handlers(endpoint, models)
    app = web.Application(middlewares=[_told], client_max_size=MAX_BODY_BYTES)
    app.cleanup_ctx.append(handlers.life)
    app.router.add_get("/v1/models", handlers.list_models)
    app.router.add_get("/v1/models/{model}", handlers.one_model)
    app.router.add_post("/v1/completions", handlers.completions)
    app.router.add_post("/v1/chat/completions", handlers.chat)
    return app


@contextmanager
def facade(endpoint: Endpoint, models: tuple[Model, ...], *, host: str = HOST, port: int = 0) -> Iterator[Facade]:
    """Serve until the context ends; port 0 takes a free one. Raises EnvironmentProblem for a port that is taken."""
    runner = web.AppRunner(
        _application(endpoint, models), handler_cancellation=True, access_log=None, shutdown_timeout=1.0
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop,), name="openai facade", daemon=True)
    thread.start()
    try:
        yield Facade(address=f"{host}:{_bound(runner, loop, host, port)}")
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(START_TIMEOUT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(START_TIMEOUT_S)
        loop.close()


def _bound(runner: web.AppRunner, loop: asyncio.AbstractEventLoop, host: str, port: int) -> int:
    """The port that it listens on, once it does."""
    try:
        return asyncio.run_coroutine_threadsafe(_listen(runner, host, port), loop).result(START_TIMEOUT_S)
    except OSError as err:
        raise EnvironmentProblem(
            f"port {port} is taken or not allowed: {err.strerror}", mend="--openai-port P"
        ) from err


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()


async def _listen(runner: web.AppRunner, host: str, port: int) -> int:
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    bound: int = runner.addresses[0][1]
    return bound
