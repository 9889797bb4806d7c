"""Errors over HTTP as `application/problem+json` (RFC 9457): what is wrong and what to do about it."""

from http import HTTPStatus
from typing import Any, cast

import msgspec
import structlog
from litestar import MediaType, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.response import Redirect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.api.page.rendering import page
from services.api.requests import AnyRequest
from services.api.writer import is_transient
from shared.bus import BusUnavailable
from shared.errors import Reject
from shared.guard import Blocked

log = structlog.get_logger()
PROBLEM = "application/problem+json"
DATA_EXCEPTION = "22"  # SQLSTATE class


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong."""

    title: str  # the status in words
    status: int
    detail: str  # what to do
    errors: list[str] = []  # one for each field that does not fit


def answer(status: int, detail: str, errors: list[str] | None = None) -> Response[Problem]:
    """Return the response that tells it."""
    problem = Problem(HTTPStatus(status).phrase, status, detail, errors or [])
    headers = {"Retry-After": "5"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(problem, status_code=status, media_type=PROBLEM, headers=headers)


def on_http(request: AnyRequest, error: HTTPException) -> Response[Any]:
    """Tell what Litestar or a route found wrong with the request; to people on a page of its own."""
    if wants_page(request):
        if error.status_code == HTTPStatus.UNAUTHORIZED:
            return Redirect("/login", status_code=303)
        phrase = HTTPStatus(error.status_code).phrase
        return page("problem", status=error.status_code, title=phrase, detail=error.detail or phrase)
    if isinstance(error, ValidationException):
        return answer(400, "change the fields named in `errors`; /openapi.json says what each takes", _fields(error))
    detail = error.detail or HTTPStatus(error.status_code).phrase
    response = answer(error.status_code, detail)
    response.headers.update(error.headers or {})
    return response


def on_reject(_request: AnyRequest, error: Reject) -> Response[Problem]:
    """Tell what is wrong with a value."""
    return answer(400, str(error))


def on_blocked(_request: AnyRequest, error: Blocked) -> Response[Problem]:
    """Tell how an address of one's own is allowed."""
    return answer(422, str(error))


def on_database(request: AnyRequest, error: DBAPIError) -> Response[Problem]:
    """Tell whether the value, the moment or Halftone is at fault."""
    if is_transient(error):
        return on_unavailable(request, error)
    if str(getattr(error.orig, "sqlstate", "")).startswith(DATA_EXCEPTION):
        return answer(400, "a value is none that can be stored: leave out NUL characters, use smaller numbers")
    return on_defect(request, error)


def on_unavailable(_request: AnyRequest, error: Exception) -> Response[Problem]:
    """Tell that something that we need is away."""
    log.warning("request not served", reason=str(error).splitlines()[0])
    return answer(503, "the database or the broker is away right now: try again in some seconds")


def on_defect(request: AnyRequest, error: Exception) -> Response[Problem]:
    """Tell that the fault is ours, and log where."""
    log.error("request failed", path=request.url.path, exc_info=error)
    return answer(500, "this is a defect of Halftone's: its log has the details")


HANDLERS: dict[int | type[Exception], Any] = {
    HTTPException: on_http,
    Blocked: on_blocked,
    Reject: on_reject,
    BusUnavailable: on_unavailable,
    DBAPIError: on_database,
    PoolTimeout: on_unavailable,
    Exception: on_defect,
}
JSON = MediaType.JSON


def wants_page(request: AnyRequest) -> bool:
    """Tell whether a person looks at the answer."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


def _fields(error: ValidationException) -> list[str]:
    if not isinstance(error.extra, list):
        return [error.detail]
    fields = cast("list[dict[str, str]]", error.extra)
    return [f"{field.get('key', 'body')}: {field.get('message', '')}" for field in fields]
