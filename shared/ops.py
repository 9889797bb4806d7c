"""The port on which a service is watched: /metrics, /healthz (it runs) and /readyz (it can work)."""

import socketserver
import threading
from collections.abc import Callable, Iterable
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.errors import Misconfigured

Probe = Callable[[], str]  # returns why the service is not ready; empty: it is


class OpsServer:
    """Serves the three paths from a thread of its own, so that they answer while the service works."""

    def __init__(self, host: str, port: int, ready: Probe) -> None:
        """Listen at once.

        Raises:
            Misconfigured: The port is taken.
        """
        try:
            self._server = _Server((host, port), _QuietHandler)
        except OSError as error:
            raise Misconfigured(
                f"cannot listen on {host}:{port} for /metrics: {error.strerror}; set HALFTONE_OPS_PORT"
            ) from error
        self._server.set_app(_app(ready))
        self._thread = threading.Thread(target=self._server.serve_forever, name="ops", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.server_port

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def _app(ready: Probe) -> WSGIApplication:
    def respond(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return _respond(start, "200 OK", generate_latest(), CONTENT_TYPE_LATEST)
        if path == "/healthz":
            return _text(start, "200 OK", "alive")
        if path == "/readyz":
            reason = ready()
            return _text(start, "503 Service Unavailable" if reason else "200 OK", reason or "ready")
        return _text(start, "404 Not Found", "here are /metrics, /healthz and /readyz")

    return respond


def _text(start: StartResponse, status: str, text: str) -> list[bytes]:
    return _respond(start, status, text.encode() + b"\n", "text/plain; charset=utf-8")


def _respond(start: StartResponse, status: str, body: bytes, content_type: str) -> list[bytes]:
    start(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without asking the DNS for our own name, as the base class does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _QuietHandler(WSGIRequestHandler):
    timeout = 10  # seconds for a client to say what it wants

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing: probes come every few seconds."""
