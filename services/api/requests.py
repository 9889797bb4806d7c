"""A request as the routes see it."""

from typing import Any

from litestar import Request
from litestar.exceptions import ClientException

AnyRequest = Request[Any, Any, Any]


class ApiRequest(AnyRequest):
    """A request whose body, where it is no JSON, is the sender's fault in every case."""

    async def json(self) -> Any:
        """Return the body's JSON; `ClientException` for what msgspec itself lets through as other errors."""
        try:
            return await super().json()
        except RecursionError as error:
            raise ClientException("the body's JSON is nested too deeply: no field takes that") from error
        except UnicodeDecodeError as error:
            raise ClientException("the body's JSON is not UTF-8 (RFC 8259, section 8.1)") from error
