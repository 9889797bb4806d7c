"""One trace from the poll to the record, over all services, where a collector is named; nothing where none is."""

import asyncio
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.chaos_world import Exchange, Http
from shared import tracing
from tests.deploy.feeds import fill
from tests.deploy.guarded_broker import guarded_broker
from tests.deploy.guarded_system import SERVICES, guarded_system
from tests.servers import running_site

REQUEST_ID = "0123456789abcdef0123456789abcdef_7"


class Collector(Http):
    """Takes spans: (service, name, trace's id)."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: set[tuple[str, str, str]] = set()

    async def answer(self, exchange: Exchange) -> tuple[int, str, bytes]:
        """Take one request's."""
        for resource in ExportTraceServiceRequest.FromString(exchange[3]).resource_spans:
            names = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans |= {(names["service.name"], span.name, span.trace_id.hex()) for span in scope.spans}
        return 200, "application/x-protobuf", b""


@pytest.mark.live
async def test_one_trace_goes_from_the_poll_to_the_record(tmp_path: Path) -> None:
    collector = Collector()
    async with collector.serving(), running_site() as site:
        fill(site, 1)
        settings = {"HALFTONE_TRACES": f"http://127.0.0.1:{collector.port}/v1/traces"}
        allowed = f"127.0.0.1:{site.port}"
        with (
            guarded_broker(tmp_path / "broker") as broker,
            guarded_system(broker, tmp_path / "data", allowed, settings) as system,
        ):
            record = await system.fetch(site.url("/0/feed.xml"))
            await asyncio.sleep(1)
            for name in SERVICES:
                await asyncio.to_thread(system.stop, name)  # sends what is left
    trace = record["record"]["requestId"][:32]
    assert {(service, name) for service, name, its in collector.spans if its == trace} == {
        ("halftone-fetcher", "feed.due"),
        ("halftone-fetcher", "poll"),
        ("halftone-transcoder", "image.job"),
        ("halftone-uploader", "rpc.upload"),
        *(
            ("halftone-api", name)
            for name in ("article.found", "feed.polled", "image.mirrored", "image.failed", "record.completed")
        ),
    }


def test_nothing_is_said_and_done_where_no_collector_is_named() -> None:
    with tracing.span("x", {}, REQUEST_ID):
        assert tracing.headers(REQUEST_ID) == {}


def test_a_polls_id_names_its_trace() -> None:
    digits = REQUEST_ID[:32]
    assert tracing.of_poll(REQUEST_ID) == {"traceparent": f"00-{digits}-{digits[:16]}-01"}


def test_what_is_no_polls_id_names_none() -> None:
    assert tracing.of_poll("") == {}
