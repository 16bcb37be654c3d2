"""An HTTP server in a thread, and its shutdown by signals."""
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from mmpartref.errors import InputError

# Timeouts in seconds: of the start, of requests that run at the shutdown, and of the shutdown.
START, GRACE, END = 30, 2, 10
ENDING = [getattr(signal, each) for each in ('SIGINT', 'SIGTERM', 'SIGHUP') if hasattr(signal, each)]
# Further connections get HTTP status 503.
MAX_CONNECTIONS = 256


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Raises:
        InputError: the port does not exist, or cannot be listened on.
    """
    if not 0 < port < 65536:
        raise InputError(f'--port {port} must be from 1 to 65535')
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ':' in host else socket.AF_INET)
    except OSError as error:
        raise InputError(f'cannot listen on --host {host} --port {port}: {error.strerror}; give another') from None


def address_of(host: str, port: int) -> str:
    """Return the address to open, as a URL."""
    name = 'localhost' if host in ('0.0.0.0', '::') else f'[{host}]' if ':' in host else host
    return f'http://{name}:{port}/'


class HttpServer:
    """An HTTP server for one ASGI app, running in a daemon thread.

    Args:
        app: the ASGI app.
        host, port: to listen on.
        max_connections: at a time; further ones get HTTP status 503.

    Raises:
        InputError: cannot listen there.
    """

    def __init__(self, app: Any, host: str, port: int, max_connections: int = MAX_CONNECTIONS) -> None:
        import uvicorn
        self._socket = listen(host, port)
        # No header of a proxy is trusted: it would replace the address and the protocol of the request.
        config = uvicorn.Config(app, log_level='warning', lifespan='on', ws='none', proxy_headers=False,
                                server_header=False, limit_concurrency=max_connections,
                                timeout_graceful_shutdown=GRACE)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)
        # Not Thread.join: if a signal interrupts it, Python 3.11 considers the thread ended.
        self._ended = threading.Event()

    def _run(self) -> None:
        try:
            self._server.run([self._socket])
        finally:
            self._ended.set()

    def start(self) -> None:
        """Start, and return when requests are accepted.

        Raises:
            RuntimeError: the app did not start; its error is in the log.
        """
        self._thread.start()
        deadline = time.monotonic() + START
        while not self._server.started:
            if self._ended.is_set() or time.monotonic() > deadline:
                self.close()
                raise RuntimeError('the server did not start; see the log above')
            time.sleep(0.01)

    def wait(self, stop: threading.Event) -> None:
        """Return when the server has ended.

        Raises:
            KeyboardInterrupt: ``stop`` is set.
        """
        while not self._ended.wait(0.2):
            if stop.is_set():
                raise KeyboardInterrupt

    def close(self) -> None:
        """Shut down; running requests get ``GRACE`` seconds to end."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._ended.wait(END)
        self._socket.close()


@contextmanager
def ended_by_signals() -> Iterator[threading.Event]:
    """Raise ``KeyboardInterrupt`` in the block on SIGINT, SIGTERM and SIGHUP, unless they are ignored.

    So ``finally`` clauses run. The previous handlers are restored afterwards. Does nothing outside the main thread,
    where Python allows no handlers.

    Yields:
        An event that the signals set, as Python drops an exception that is raised inside a destructor.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        # A second signal would interrupt the cleanup; only a second Ctrl+C may.
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_IGN)
        stop.set()
        raise KeyboardInterrupt

    previous = {each: signal.getsignal(each) for each in ENDING}
    for each, before in previous.items():
        if before is not signal.SIG_IGN:
            signal.signal(each, interrupt)
    try:
        yield stop
    finally:
        for each, before in previous.items():
            signal.signal(each, signal.SIG_DFL if before is None else before)
