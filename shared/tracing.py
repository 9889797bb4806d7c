"""Traces by OpenTelemetry, where a collector is named: one trace from the poll to the record. Otherwise nothing.

W3C trace context (https://www.w3.org/TR/trace-context/) travels in the messages' headers. A poll's `requestId` begins
with 32 hex digits: they are its trace's id, so that whoever knows the poll knows the trace, across restarts too.
"""

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from shared.errors import Misconfigured

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_TRACE_ID = re.compile(r"[0-9a-f]{32}(?=_)")
_provider: "TracerProvider | None" = None


def start(service: str, instance: str, collector: str) -> None:
    """Send spans to the collector, by OTLP over HTTP, from now on; does nothing where none is named.

    Args:
        service: The service's name.
        instance: The replica's name.
        collector: URL that takes traces, e.g. `http://collector:4318/v1/traces`.

    Raises:
        Misconfigured: OpenTelemetry is not installed.
    """
    global _provider  # noqa: PLW0603 - on or off for the whole process
    if not collector:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise Misconfigured("HALFTONE_TRACES is set: install halftone with its 'tracing' extra") from error
    resource = Resource.create({"service.name": f"halftone-{service}", "service.instance.id": instance})
    _provider = TracerProvider(resource=resource)
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(collector)))


def stop() -> None:
    """Send what is left."""
    if _provider is not None:
        _provider.shutdown()


def headers(request_id: str = "") -> dict[str, str]:
    """Return the headers that carry the span at work, without one those of the poll's trace; none when off."""
    if _provider is None:
        return {}
    from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415 - on only

    carrier: dict[str, str] = {}
    tracecontext.TraceContextTextMapPropagator().inject(carrier)
    return carrier or of_poll(request_id)


def of_poll(request_id: str) -> dict[str, str]:
    """Return headers that name the poll's trace; none where the id is no poll's."""
    found = _TRACE_ID.match(request_id)
    return {"traceparent": f"00-{found[0]}-{found[0][:16]}-01"} if found else {}


@contextmanager
def span(name: str, parent: Mapping[str, str], request_id: str = "") -> Generator[None]:
    """Trace the block as a part of what `parent`, a message's headers, names, or of the poll; else not at all."""
    carrier = parent if "traceparent" in parent else of_poll(request_id)
    if _provider is None or not carrier:
        yield
        return
    from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415 - on only

    context = tracecontext.TraceContextTextMapPropagator().extract(carrier)
    attributes: dict[str, Any] = {"halftone.request_id": request_id} if request_id else {}
    with _provider.get_tracer("halftone").start_as_current_span(name, context=context, attributes=attributes):
        yield
