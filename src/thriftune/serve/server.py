"""Listens on an address, serves until a signal asks for the end, and finishes what was accepted."""

from __future__ import annotations

import importlib.util
import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from thriftune.endings import SIGNALS
from thriftune.errors import InputError
from thriftune.serve.limits import Limits
from thriftune.serve.models import Models

if TYPE_CHECKING:
    from thriftune.serve.app import State

NEEDED = ("fastapi", "uvicorn", "prometheus_client")
BACKLOG = 2048
MORE_SECONDS = 5
"""After a request's time is over, for its answer to go out before the end."""


def check_installed() -> None:
    """Raises `InputError` where what the service stands on is not installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"thriftune serve needs {', '.join(missing).replace('_', '-')}, which is not installed: "
            "pip install 'thriftune[serve]'"
        )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `InputError` where the address cannot be had."""
    if not 0 <= port <= 65535:
        raise InputError(f"--port {port} is given; a port is a number from 1 to 65535 (0: any that is free).")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise InputError(
            f'--host "{host}" is no address of this machine ({error}). Give 127.0.0.1, or 0.0.0.0.'
        ) from None
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise InputError(_why_not(host, port, error)) from None
    return made


def _why_not(host: str, port: int, error: OSError) -> str:
    import errno

    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is in use. Stop what listens there, or give another --port (0: any that is free)."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} of {host} may not be used by this user. Give a --port above 1023."
    if error.errno == errno.EADDRNOTAVAIL:
        return f'--host "{host}" is no address of this machine. Give 127.0.0.1, or 0.0.0.0 for all of its addresses.'
    return f"Port {port} of {host} cannot be had ({error.strerror})."


def url_of(listening: socket.socket) -> str:
    """Where a listening socket is reached; from this machine where it listens on all addresses."""
    host, port = listening.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(listening: socket.socket) -> bool:
    """Whether only this machine reaches a socket."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def serve(models: Models, listening: socket.socket, limits: Limits, ready: Callable[[], None]) -> int | None:
    """Serves until SIGTERM, SIGINT or SIGHUP, and returns which; a second one ends it without waiting.

    What was accepted is answered first. `ready` is called once requests are taken.
    """
    from thriftune.serve.app import State

    state = State()
    server = make_server(models, limits, state, ready)
    with _heard(server, state) as signals:
        server.run(sockets=[listening])
    return signals[0] if signals else None


def make_server(models: Models, limits: Limits, state: State, ready: Callable[[], None]) -> Any:
    """uvicorn's server of the application; it leaves signals alone, and ends where `should_exit` is set."""
    import uvicorn

    from thriftune.serve.app import make_app

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # they are ours

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    config = uvicorn.Config(
        make_app(models, limits, state),
        log_level="warning",
        access_log=False,
        lifespan="on",
        ws="none",
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=int(limits.timeout) + MORE_SECONDS,
    )
    return Server(config)


@contextmanager
def _heard(server: Any, state: Any) -> Iterator[list[int]]:
    """The signals that asked for the end, in their order."""
    heard: list[int] = []

    def end(number: int, frame: Any) -> None:
        server.force_exit = server.should_exit
        server.should_exit = state.stopping = True
        heard.append(number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    own = [number for number, handler in before.items() if handler != signal.SIG_IGN]
    for number in own:
        signal.signal(number, end)
    try:
        yield heard
    finally:
        for number in own:
            signal.signal(number, before[number])
