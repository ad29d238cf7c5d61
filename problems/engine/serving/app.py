"""The HTTP interface of a model.

Audio is the body of a request: never a path or a URL, and never on disk. Browsers of other sites cannot send requests,
because an audio content type needs a permission that is not given.
"""

from __future__ import annotations

import asyncio
import hmac
import io
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from dataset import audio
from problems.engine.inference.pieces import pieces_of
from problems.engine.inference.predictor import Predictor
from problems.engine.inference.recordings import Recording
from problems.engine.serving.metrics import Metrics
from problems.engine.serving.worker import QueueFull, Worker

PAGE = Path(__file__).parent / "page"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src blob:; img-src data:"
ASSETS = {"page.js": "text/javascript", "page.css": "text/css"}


@dataclass(frozen=True)
class Limits:
    """Limits of a request.

    Args:
        bytes: of a body.
        seconds: of audio.
        samples: of all channels, which a small file may hold many of.
        waiting: recordings that may wait for the model.
        slow: seconds that may pass between two parts of a body.
    """

    bytes: int = 100_000_000
    seconds: float = 3600.0
    samples: int = 700_000_000
    waiting: int = 64
    slow: float = 10.0


def create_app(predictor: Predictor, limits: Limits | None = None, token: str | None = None) -> FastAPI:
    """The application.

    Args:
        token: what ``Authorization: Bearer`` must hold; None: anyone may ask, but only by the names of this machine.
    """
    service = Service(predictor, limits or Limits())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.worker.close)

    app = FastAPI(
        title="Soundstage", summary=predictor.problem.summary, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    if token is None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "testserver"])
    _add_gate(app, service.metrics, token)
    _add_routes(app, service)
    return app


class Service:
    """The model behind the routes."""

    def __init__(self, predictor: Predictor, limits: Limits):
        self.predictor, self.limits, self.metrics = predictor, limits, Metrics()
        self.worker = Worker(predictor, limits.waiting)
        self.bodies = 0
        """Files that are being received or opened."""

    async def recording(self, request: Request) -> Recording:
        """The audio of a request.

        Raises:
            HTTPException: it is too large, too long, too slow, or no audio.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not (kind.startswith(("audio/", "video/")) or kind == "application/octet-stream"):
            raise HTTPException(415, f"the content type is {kind or 'missing'}: send the bytes of a file as audio/*")
        if self.bodies >= self.limits.waiting:
            raise _busy(f"{self.bodies} files are being received already")
        self.bodies += 1
        try:
            body = io.BytesIO(await self._body(request))
            return await asyncio.to_thread(self._opened, body)
        except audio.AudioError as error:
            raise HTTPException(422, str(error)) from error
        finally:
            self.bodies -= 1

    async def _body(self, request: Request) -> bytes:
        body, chunks = bytearray(), request.stream().__aiter__()
        while True:
            try:
                body += await asyncio.wait_for(chunks.__anext__(), self.limits.slow)
            except StopAsyncIteration:
                return bytes(body)
            except asyncio.TimeoutError:
                raise HTTPException(408, f"no data for {self.limits.slow:g} s") from None
            if len(body) > self.limits.bytes:
                raise HTTPException(413, f"the file is larger than {self.limits.bytes} bytes")

    def _opened(self, body: io.BytesIO) -> Recording:
        info = audio.info(body)
        if info.seconds > self.limits.seconds:
            raise HTTPException(413, f"the audio is {info.seconds:.1f} s long, the limit is {self.limits.seconds:g} s")
        if info.frames * info.channels > self.limits.samples:
            raise HTTPException(
                413, f"the audio has more than {self.limits.samples} samples: convert it to 16 kHz mono"
            )
        return Recording("upload", body).open()

    async def result(self, recording: Recording) -> Any:
        """The result of a recording, once it is computed.

        Raises:
            HTTPException: too many recordings wait, or the model refuses this one.
        """
        try:
            result = await asyncio.wrap_future(self.worker.submit(recording))
        except QueueFull as error:
            raise _busy(str(error)) from error
        except ValueError as error:
            raise HTTPException(422, f"the model cannot compute it: {error}") from error
        self.metrics.audio.inc(recording.seconds)
        return result

    async def lines(self, recording: Recording) -> AsyncIterator[str]:
        """The result of each piece of a recording, a JSON line each."""
        long_audio = "pauses" if self.predictor.problem.long_audio == "pauses" else "whole"
        pieces = pieces_of(recording, long_audio)
        try:
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                start, wav = piece
                result = await self.result(Recording("upload", wav).open())
                yield json.dumps({"start": round(start, 3), **result.to_dict()}, ensure_ascii=False) + "\n"
        except (HTTPException, audio.AudioError) as error:  # the status is sent already
            yield json.dumps({"error": getattr(error, "detail", str(error))}) + "\n"


def _add_gate(app: FastAPI, metrics: Metrics, token: str | None) -> None:
    """Check the token, count every request, and forbid the page all that it does not need."""

    @app.middleware("http")
    async def gate(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        route = request.url.path
        began = time.perf_counter()
        with metrics.open.track_inprogress():
            if token is not None and not _is_allowed(request, token) and route not in ("/", "/health", *_asset_paths()):
                response: Response = JSONResponse({"detail": "send the token: Authorization: Bearer ..."}, 401)
            else:
                try:
                    response = await call_next(request)
                except Exception:
                    metrics.requests.labels(_route(app, route), 500).inc()
                    raise
        name = _route(app, route)
        metrics.requests.labels(name, response.status_code).inc()
        metrics.seconds.labels(name).observe(time.perf_counter() - began)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def _route(app: FastAPI, path: str) -> str:
    """A path of ours, or other: clients may ask for any number of them."""
    return path if path in {own.path for own in app.routes if hasattr(own, "path")} else "other"


def _busy(reason: str) -> HTTPException:
    return HTTPException(503, reason, headers={"Retry-After": "1"})


def _is_allowed(request: Request, token: str) -> bool:
    header = request.headers.get("authorization", "")
    return hmac.compare_digest(header.encode(), f"Bearer {token}".encode())


def _asset_paths() -> list[str]:
    return [f"/{name}" for name in ASSETS]


def _add_routes(app: FastAPI, service: Service) -> None:
    body = {
        "requestBody": {"required": True, "content": {"audio/*": {"schema": {"type": "string", "format": "binary"}}}}
    }

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse((PAGE / "page.html").read_text("utf-8"))

    for name, kind in ASSETS.items():
        app.get(f"/{name}", include_in_schema=False)(_asset(name, kind))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(_docs(app.openapi()))

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Ok, if the model is ready."""
        return {"status": "ok"}

    @app.get("/v1/card")
    async def card() -> dict[str, Any]:
        """The card of the model: what it is and how good."""
        return service.predictor.card

    @app.get("/metrics")
    async def metrics() -> Response:
        """Counts and times, for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.post("/v1/predict", openapi_extra=body)
    async def predict(request: Request) -> JSONResponse:
        """The result for the audio file that is the body: wav, flac, ogg or mp3, of any rate and channel count."""
        result = await service.result(await service.recording(request))
        return JSONResponse(result.to_dict())

    @app.post("/v1/stream", openapi_extra=body)
    async def stream(request: Request) -> StreamingResponse:
        """The results of a long file's pieces as they are computed, a JSON line each; their times are of the piece."""
        recording = await service.recording(request)
        return StreamingResponse(service.lines(recording), media_type="application/x-ndjson")


def _asset(name: str, kind: str) -> Callable[[], Response]:
    text = (PAGE / name).read_text("utf-8")

    def asset() -> Response:
        return Response(text, media_type=kind)

    return asset


def _docs(schema: dict[str, Any]) -> str:
    """The interface as a page without scripts."""
    from html import escape

    rows = "".join(
        f"<tr><td>{verb.upper()}</td><td><code>{escape(path)}</code></td><td>{escape(own['description'])}</td></tr>"
        for path, verbs in schema["paths"].items()
        for verb, own in verbs.items()
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(schema['info']['title'])}</title>"
        f'<link rel=stylesheet href="/page.css"><main><h1>Interface</h1><table>{rows}</table>'
        '<p>As <a href="/openapi.json">OpenAPI</a>. <a href="/">The page</a>.</main></html>'
    )
