"""The tests' GitHub over HTTP, with the bad days that were planned for it, and the CDN in front of it."""

import json
import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

from tests.uploader.github_accounts import Answer, Fault
from tests.uploader.github_routes import GitHub


class Handler(BaseHTTPRequestHandler):
    """One request: the CDN's or the API's, with a fault or without."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    github: GitHub

    def respond(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if path.startswith("/gh/"):
            self.send(self.cdn(path), {})
            return
        token = (self.headers.get("authorization") or "").removeprefix("Bearer ")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        query["accept"] = self.headers.get("accept") or ""
        account = self.github.accounts.get(token)
        fault = self.github.fault(self.command, path, account.login if account else "")
        if fault and not self.survives(fault):
            return
        answer = self.github.answer(self.command, path, query, json.loads(body) if body else {}, token)
        if fault and fault.after:
            self.close_connection = True
            return
        self.send(answer, self.github.rate_headers(token))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = respond  # noqa: N815 - the base class's names

    def survives(self, fault: Fault) -> bool:
        """Act the fault; tell whether the request is answered all the same."""
        time.sleep(fault.slow)
        if fault.after or (fault.slow and not fault.status):
            return True
        if fault.status:
            self.send(Answer(fault.status, {"message": fault.message}), fault.headers)
        self.close_connection = True
        return False

    def cdn(self, path: str) -> Answer:
        """Serve what jsDelivr would: `/gh/<owner>/<repository>@<ref>/<path>`."""
        match = re.fullmatch(r"/gh/([\w-]+/[\w-]+)@([\w-]+)/(.+)", path)
        repository = match and self.github.repositories.get(match[1])
        if not match or not repository:
            return Answer(404)
        blob = repository.files(match[2]).get(match[3])
        if not blob or time.time() - repository.times[repository.brought[match[3]]] < self.github.cdn_lag:
            return Answer(404)
        return Answer(200, repository.blobs[blob])

    def send(self, answer: Answer, headers: dict[str, str]) -> None:
        raw = isinstance(answer.body, bytes)
        payload = answer.body if raw else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in {**headers, **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("content-type", "application/vnd.github.raw+json" if raw else "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Keep quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet: clients that were killed leave resets behind."""


@contextmanager
def running_github(github: GitHub, port: int = 0) -> Generator[str]:
    """Serve on loopback; yields the URL."""
    handler = type("BoundHandler", (Handler,), {"github": github})
    server = _Server(("127.0.0.1", port), handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
