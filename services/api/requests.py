"""A request as the routes see it."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from litestar import Request
from litestar.exceptions import ClientException, HTTPException, InternalServerException

BODY_SECONDS = 30.0  # that a request's body may take: whoever stalls must not keep others out

AnyRequest = Request[Any, Any, Any]


class ApiRequest(AnyRequest):
    """A request whose body, where it does not come or is no JSON, is the sender's fault in every case."""

    async def stream(self) -> AsyncGenerator[bytes]:
        """Yield the body's parts.

        Raises:
            HTTPException: 408, it takes too long.
            ClientException: The sender left, or framed it wrongly.
        """
        deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        parts = super().stream()
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    part = await anext(parts)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise HTTPException(f"the body did not come within {BODY_SECONDS:.0f} s", status_code=408) from None
            except InternalServerException as error:
                raise ClientException("the body ended before it was whole, or its chunks are none") from error
            yield part

    async def json(self) -> Any:
        """Return the body's JSON; `ClientException` for what msgspec itself lets through as other errors."""
        try:
            return await super().json()
        except RecursionError as error:
            raise ClientException("the body's JSON is nested too deeply: no field takes that") from error
        except UnicodeDecodeError as error:
            raise ClientException("the body's JSON is not UTF-8 (RFC 8259, section 8.1)") from error
