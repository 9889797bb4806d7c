"""The API's documentation for people, made from its OpenAPI document; nothing is loaded from elsewhere."""

from typing import Any

import msgspec
from litestar import Response, get

from services.api.page.rendering import page
from services.api.requests import AnyRequest


class Parameter(msgspec.Struct, frozen=True):
    """One parameter of an operation."""

    name: str
    place: str
    required: bool
    text: str


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation."""

    method: str
    path: str
    text: str
    parameters: list[Parameter]
    body: str  # its schema's name; empty: none
    answers: list[str]  # statuses


@get("/docs", opt={"public": True}, include_in_schema=False)
async def docs_page(request: AnyRequest) -> Response[str]:
    """Show every operation of the API."""
    return page("docs", operations=operations(request.app.openapi_schema.to_schema()))


def operations(document: dict[str, Any]) -> list[Operation]:
    """Return the operations of an OpenAPI document, by path."""
    return [
        Operation(
            method=method.upper(),
            path=path,
            text=each.get("description") or each.get("summary", ""),
            parameters=[_parameter(parameter) for parameter in each.get("parameters", [])],
            body=_body(each),
            answers=sorted(each.get("responses", {})),
        )
        for path, methods in sorted(document["paths"].items())
        for method, each in methods.items()
    ]


def _parameter(parameter: dict[str, Any]) -> Parameter:
    text = parameter.get("description") or parameter.get("schema", {}).get("description", "")
    return Parameter(parameter["name"], parameter["in"], bool(parameter.get("required")), text)


def _body(operation: dict[str, Any]) -> str:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        reference: str = content.get("schema", {}).get("$ref", "")
        return reference.rpartition("/")[2].rpartition("_")[2]
    return ""
