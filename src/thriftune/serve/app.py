"""The service's paths: POST /predict, GET /health, /models, /metrics, /docs and /openapi.json."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from thriftune.engine.stored.onnx.choice import Route
from thriftune.serve.answer import answer
from thriftune.serve.batches import Batches
from thriftune.serve.body import body_of
from thriftune.serve.limits import Limits
from thriftune.serve.metrics import Metrics
from thriftune.serve.models import Models
from thriftune.serve.refusal import RefusalError
from thriftune.serve.request import ErrorResponse, PredictRequest, PredictResponse, question

PATHS = {"/predict": "POST", "/health": "GET", "/models": "GET", "/metrics": "GET"}
DESCRIPTION = "Labels texts with trained classifiers. Requests that come together are computed together."
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body is no JSON", "model": ErrorResponse},
    404: {"description": "No model has that name", "model": ErrorResponse},
    408: {"description": "The body did not come in time", "model": ErrorResponse},
    413: {"description": "The body is too large", "model": ErrorResponse},
    415: {"description": "The body is of another type", "model": ErrorResponse},
    422: {"description": "The request cannot be used", "model": ErrorResponse},
    429: {"description": "Too many requests are waiting", "model": ErrorResponse},
    503: {"description": "There was no time, or the service is stopping", "model": ErrorResponse},
}


@dataclass
class State:
    """What changes while a service runs."""

    active: int = 0
    stopping: bool = False


@dataclass
class Service:
    """The classifiers, their queue and what is counted of them."""

    models: Models
    limits: Limits
    state: State
    batches: Batches
    metrics: Metrics

    @classmethod
    def of(cls, models: Models, limits: Limits, state: State) -> Service:
        """A service that computes nothing yet."""
        batches = Batches(models.predict, limits)
        routes = models.routes
        metrics = Metrics(lambda: state.active, batches.waiting, sum(route.bytes for route in routes))
        batches.observe = lambda texts: metrics.computed(texts, sum(route.texts for route in routes))
        return cls(models, limits, state, batches, metrics)

    async def predict(self, request: Request) -> Response:
        """The answer to POST /predict, counted."""
        started, status = time.perf_counter(), 500
        self.state.active += 1
        try:
            made = await self._predicted(request)
            status = 200
            return Response(made, media_type="application/json")
        except RefusalError as refusal:
            status = refusal.status
            return _error(refusal.message, status, refusal.headers)
        except ClientDisconnect:
            status = 499  # nobody hears it
            return Response(status_code=400)
        finally:
            self.state.active -= 1
            self.metrics.answered(status, time.perf_counter() - started)

    async def _predicted(self, request: Request) -> bytes:
        limits = self.limits
        if self.state.stopping:
            raise RefusalError(503, "The service is stopping.", Retry_After="5")
        if self.state.active > limits.queue:
            raise RefusalError(429, f"{limits.queue:,} requests are waiting already. Try again.", Retry_After="1")
        until = asyncio.get_running_loop().time() + limits.timeout
        try:
            async with asyncio.timeout_at(until):
                body = await body_of(request, limits.bytes)
        except TimeoutError:
            late = f"The body did not come within {limits.timeout:g} s."
            raise RefusalError(408, late, Connection="close") from None
        asked = question(body, self.models, limits)
        served = self.models.served[asked.model]
        try:
            async with asyncio.timeout_at(until):
                found = await self.batches.submit((asked.model, asked.columns), served.tokens(asked.columns))
        except TimeoutError:
            late = f"There was no time to answer within {limits.timeout:g} s: too much is waiting. Try again."
            raise RefusalError(503, late, Retry_After="5") from None
        made = answer(asked, found, served.model.labels)
        self.metrics.predicted(asked.model, len(found))
        return made

    async def health(self) -> Response:
        """The answer to GET /health."""
        return JSONResponse({"status": "stopping"}, 503) if self.state.stopping else JSONResponse({"status": "ok"})

    async def listed(self) -> Response:
        """The answer to GET /models."""
        found = [
            {
                "name": served.name,
                "source": served.source,
                "labels": served.model.labels,
                "columns": served.model.columns,
                "texts_per_item": served.model.count,
                "max_tokens": served.most_tokens,
                "calibrated": served.calibrated,
                "engine": served.engine,
                "onnxruntime": _routed(served.route),
            }
            for served in self.models.served.values()
        ]
        return JSONResponse({"default": self.models.default, "models": found})

    async def counted(self) -> Response:
        """The answer to GET /metrics."""
        text, kind = self.metrics.text()
        return Response(text, media_type=kind)


def make_app(models: Models, limits: Limits, state: State | None = None) -> FastAPI:
    """The application; its batches are computed from its start to its end."""
    service = Service.of(models, limits, state or State())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.batches.start()
        yield
        await asyncio.to_thread(service.batches.stop)

    app = FastAPI(title="Thriftune", description=DESCRIPTION, lifespan=lifespan, redirect_slashes=False)
    body = {"content": {"application/json": {"schema": PredictRequest.model_json_schema()}}, "required": True}
    app.post(
        "/predict",
        response_model=PredictResponse,
        responses=REFUSALS,
        summary="Label texts",
        openapi_extra={"requestBody": body},
    )(service.predict)
    stopping: dict[int | str, dict[str, Any]] = {503: {"description": "It is stopping"}}
    app.get("/health", summary="Whether the service takes requests", responses=stopping)(service.health)
    app.get("/models", summary="The classifiers and their labels")(service.listed)
    app.get("/metrics", summary="Counters as Prometheus text")(service.counted)
    app.add_exception_handler(HTTPException, _not_there)
    app.add_exception_handler(Exception, _failed)
    return app


def _routed(route: Route | None) -> dict[str, Any] | None:
    """What goes to onnxruntime, as JSON: null for a bound that there is not."""
    if route is None:
        return None
    most = route.crossover
    return {
        "most_texts": None if most is None else most.texts,
        "most_tokens": None if most is None else most.tokens,
        "threads": route.session.threads,
        "bytes": route.bytes,
    }


async def _not_there(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path[:200]
    said = str(error.detail)
    if error.status_code == 405 and path in PATHS:
        said = f"{request.method} is not allowed for {path}; use {PATHS[path]}."
    elif error.status_code == 404:
        places = ", ".join(f"{method} {name}" for name, method in PATHS.items())
        said = f"There is nothing at {path}. Use {places}, or GET /docs."
    return _error(said, error.status_code, dict(error.headers or {}))


async def _failed(_: Request, error: Exception) -> Response:
    return _error("The service failed on this request; its log says why.", 500)


def _error(said: str, status: int, headers: dict[str, str] | None = None) -> Response:
    """An error's answer; what a sender wrote that is no character is written as an escape."""
    return JSONResponse({"error": said.encode("utf-8", "backslashreplace").decode("utf-8")}, status, headers)
