"""A request as the routes see it."""

from typing import Any

from litestar import Request

AnyRequest = Request[Any, Any, Any]
