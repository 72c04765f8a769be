"""What a service counts of itself, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """Counters of one service; `text` is the page at /metrics."""

    def __init__(self, active: Callable[[], int], waiting: Callable[[], int], onnx_bytes: int = 0) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

        self._registry = CollectorRegistry()
        named: dict[str, Any] = {"namespace": "thriftune", "registry": self._registry}
        ProcessCollector(registry=self._registry)
        self._requests = Counter("requests", "Requests to /predict by the status of the answer", ["status"], **named)
        self._texts = Counter("texts", "Texts that were predicted, by model", ["model"], **named)
        self._seconds = Histogram("request_seconds", "From a request's arrival to its answer", buckets=SECONDS, **named)
        self._batches = Histogram("batch_texts", "Texts that were computed together", buckets=TEXTS, **named)
        self._engines = Counter("engine_texts", "Texts that were computed, by engine", ["engine"], **named)
        self._by_onnx = 0
        Gauge("onnx_bytes", "Weights in memory for onnxruntime", **named).set(onnx_bytes)
        Gauge("active_requests", "Requests that are read, wait or are computed", **named).set_function(active)
        Gauge("waiting_requests", "Requests that wait to be computed", **named).set_function(waiting)

    def answered(self, status: int, seconds: float) -> None:
        """A request got its answer."""
        self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def predicted(self, model: str, texts: int) -> None:
        """Texts of a request were predicted."""
        self._texts.labels(model).inc(texts)

    def computed(self, texts: int, by_onnx: int) -> None:
        """A batch was computed; `by_onnx` is how many texts onnxruntime has computed since the start."""
        self._batches.observe(texts)
        theirs, self._by_onnx = by_onnx - self._by_onnx, by_onnx
        self._engines.labels("onnxruntime").inc(theirs)
        self._engines.labels("own").inc(max(0, texts - theirs))

    def text(self) -> tuple[bytes, str]:
        """The page, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self._registry), CONTENT_TYPE_LATEST
