"""The HTTP application, and the server that runs it in this process's loop."""

import asyncio
import errno
import socket
from contextlib import suppress

from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from litestar import Litestar
from litestar.datastructures import MutableScopeHeaders, State
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import Message, Scope

from services.api.doorkeeper import let_in
from services.api.objects import serve_object
from services.api.page.docs import docs_page
from services.api.page.rendering import serve_static
from services.api.page.routes import (
    accounts_page,
    add_page,
    article_page,
    articles_page,
    feed_page,
    login,
    login_page,
    overview,
    record_page,
)
from services.api.problems import HANDLERS
from services.api.requests import ApiRequest
from services.api.routes_articles import list_articles, read_article
from services.api.routes_events import follow_events
from services.api.routes_feeds import (
    change_feed,
    export_opml,
    import_opml,
    list_feeds,
    list_records,
    read_feed,
    subscribe,
    unsubscribe,
)
from services.api.routes_images import find_image, retry_images
from services.api.routes_mirrored import mirror, read_mirrored_feed, read_mirrored_opml
from services.api.routes_records import fetch, read_record
from services.api.routes_system import list_api_tokens, make_api_token, read_openapi, revoke_api_token
from services.api.routes_websub import answer_hub, take_push
from services.api.services import Api
from shared.errors import Misconfigured
from shared.version import version

MOST_CONNECTIONS = 4_096  # served at the same time; others wait for their turn
HEADERS_MS = 10_000  # that a request's headers may take
LARGEST_BODY = 64 * 1024  # bytes of a request; routes that take files say how much
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
    "img-src * data:; media-src *; frame-src https:; base-uri 'none'; frame-ancestors 'none'"
)
ROUTES = [
    serve_object,
    fetch,
    read_record,
    list_feeds,
    subscribe,
    read_feed,
    change_feed,
    unsubscribe,
    list_records,
    import_opml,
    export_opml,
    list_articles,
    read_article,
    find_image,
    retry_images,
    follow_events,
    read_mirrored_feed,
    read_mirrored_opml,
    mirror,
    answer_hub,
    take_push,
    list_api_tokens,
    make_api_token,
    revoke_api_token,
    read_openapi,
    serve_static,
    docs_page,
    overview,
    feed_page,
    record_page,
    article_page,
    articles_page,
    accounts_page,
    add_page,
    login_page,
    login,
]


def application(api: Api) -> Litestar:
    """Return the ASGI application."""
    return Litestar(
        ROUTES,
        request_class=ApiRequest,
        guards=[let_in],
        state=State({"doorkeeper": api.doorkeeper}),
        dependencies={"api": Provide(lambda: api, sync_to_thread=False)},
        exception_handlers=HANDLERS,
        openapi_config=OpenAPIConfig(
            title="Halftone",
            version=version(),
            path="/docs/schema",
            render_plugins=[JsonRenderPlugin()],
            use_handler_docstrings=True,
        ),
        request_max_body_size=LARGEST_BODY,
        before_send=[add_headers],
        logging_config=None,
    )


async def add_headers(message: Message, scope: Scope) -> None:
    """Have no browser guess a type, tell no site where a visitor came from, run nothing that is not ours."""
    del scope
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders.from_message(message)
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "no-referrer")
        headers.setdefault("Content-Security-Policy", POLICY)
        headers.setdefault("X-Frame-Options", "DENY")


class WebServer:
    """Granian, embedded."""

    def __init__(self, app: Litestar, host: str, port: int) -> None:
        """Claim the port.

        Raises:
            Misconfigured: It is taken, or the address is not this machine's.
        """
        self._address, self.port = _free(host, port)
        self._server = Server(
            app,
            address=self._address,
            port=self.port,
            interface=Interfaces.ASGINL,
            log_enabled=False,
            websockets=False,
            backpressure=MOST_CONNECTIONS,
            http1_settings=HTTP1Settings(header_read_timeout=HEADERS_MS),
        )
        self._server.workers_kill_timeout = 2
        self._task = asyncio.create_task(self._server.serve())

    @property
    def running(self) -> bool:
        """Whether it still serves."""
        return not self._task.done()

    async def listening(self) -> None:
        """Return once it accepts connections.

        Raises:
            Misconfigured: It ended instead.
        """
        while self.running:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(self._address, self.port)
                writer.close()
                return
            await asyncio.sleep(0.01)
        raise Misconfigured(f"cannot listen on {self._address}:{self.port}: {self._task.exception() or 'it ended'}")

    async def close(self) -> None:
        """Serve nobody any longer."""
        self._server.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._task, 5)


def _free(host: str, port: int) -> tuple[str, int]:
    """Return the host's address and the port, any free one for 0, having seen that they can be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return str(address[0]), int(probe.getsockname()[1])
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "another program listens there" if taken else str(error.strerror or error)
        raise Misconfigured(
            f"cannot listen on {host}:{port}: {reason}; set HALFTONE_HTTP_HOST and HALFTONE_HTTP_PORT"
        ) from error
