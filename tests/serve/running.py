"""A service in a thread of the test's process, and requests to it as bytes."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from thriftune.serve.app import State
from thriftune.serve.limits import Limits
from thriftune.serve.models import Models
from thriftune.serve.server import listen, make_server


@dataclass(frozen=True)
class Running:
    """Where it listens."""

    port: int
    server: Any
    state: State

    def send(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            found = connection.getresponse()
            return found.status, dict(found.getheaders()), found.read()
        finally:
            connection.close()

    def predict(self, **fields: Any) -> tuple[int, dict[str, Any]]:
        """The answer to a JSON request."""
        status, _, body = self.send("POST", "/predict", json.dumps(fields), {"Content-Type": "application/json"})
        return status, json.loads(body)


@contextmanager
def running(models: Models, **limits: Any) -> Iterator[Running]:
    """Serves on a free port inside the block."""
    state, ready = State(), threading.Event()
    with listen("127.0.0.1", 0) as listening:
        server = make_server(models, Limits(**limits), state, ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert ready.wait(20)
            yield Running(listening.getsockname()[1], server, state)
        finally:
            server.should_exit = True
            thread.join(30)
    assert not thread.is_alive()
