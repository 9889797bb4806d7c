"""The ops port over real HTTP."""

import socket
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared import metrics
from shared.errors import Misconfigured
from shared.ops import OpsServer


class Watched:
    """A running ops server, and why its service is not ready."""

    def __init__(self) -> None:
        self.reason = ""
        self.server = OpsServer("127.0.0.1", 0, lambda: self.reason)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.server.port}{path}", trust_env=False, timeout=5)


@pytest.fixture
def watched() -> Iterator[Watched]:
    running = Watched()
    yield running
    running.server.close()


def test_a_process_that_answers_is_alive(watched: Watched) -> None:
    watched.reason = "no connection to the broker"
    answer = watched.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "alive\n")


def test_a_service_is_ready_while_it_has_no_reason_not_to_be(watched: Watched) -> None:
    answers = [watched.get("/readyz")]
    watched.reason = "no storage account can take an object: a: full at 5 €"
    answers.append(watched.get("/readyz"))
    watched.reason = ""
    answers.append(watched.get("/readyz?verbose"))
    assert [(answer.status_code, answer.text) for answer in answers] == [
        (200, "ready\n"),
        (503, "no storage account can take an object: a: full at 5 €\n"),
        (200, "ready\n"),
    ]


def test_metrics_come_in_the_format_that_prometheus_reads(watched: Watched) -> None:
    metrics.FEED_BYTES.inc(3)
    answer = watched.get("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert families["halftone_feed_bytes"].samples[0].value >= 3
    assert "process_resident_memory_bytes" in families


def test_other_paths_say_what_there_is(watched: Watched) -> None:
    answer = watched.get("/")
    assert (answer.status_code, answer.text) == (404, "here are /metrics, /healthz and /readyz\n")


def test_a_client_that_says_nothing_holds_nobody_up(watched: Watched) -> None:
    with socket.create_connection(("127.0.0.1", watched.server.port)):
        assert watched.get("/healthz").status_code == 200


def test_a_port_in_use_is_named_with_the_setting_that_changes_it(watched: Watched) -> None:
    port = watched.server.port
    with pytest.raises(Misconfigured, match=rf"127\.0\.0\.1:{port} .*: Address already in use; set HALFTONE_OPS_PORT"):
        OpsServer("127.0.0.1", port, lambda: "")


def test_a_closed_server_gives_its_port_back() -> None:
    again = Watched()
    again.server.close()
    OpsServer("127.0.0.1", again.server.port, lambda: "").close()
