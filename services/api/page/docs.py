"""The API's documentation for people, made from its OpenAPI document; nothing is loaded from elsewhere."""

from collections.abc import Iterator
from typing import Any

import msgspec
from litestar import Response, get

from services.api.page.rendering import page
from services.api.requests import AnyRequest

_LIMITS = {"minimum": "from", "maximum": "to", "exclusiveMaximum": "below", "maxLength": "characters at the most:"}


class Parameter(msgspec.Struct, frozen=True):
    """One parameter of an operation, or one field of its body."""

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
    answers: list[str]  # statuses


@get("/docs", opt={"public": True}, include_in_schema=False)
async def docs_page(request: AnyRequest) -> Response[str]:
    """Show every operation of the API."""
    return page("docs", operations=operations(request.app.openapi_schema.to_schema()))


def operations(document: dict[str, Any]) -> list[Operation]:
    """Return the operations of an OpenAPI document, by path."""
    schemas = document.get("components", {}).get("schemas", {})
    return [
        Operation(
            method=method.upper(),
            path=path,
            text=each.get("description") or each.get("summary", ""),
            parameters=[*map(_parameter, each.get("parameters", [])), *_fields(each, schemas)],
            answers=sorted(each.get("responses", {})),
        )
        for path, methods in sorted(document["paths"].items())
        for method, each in methods.items()
    ]


def _parameter(parameter: dict[str, Any]) -> Parameter:
    schema = parameter.get("schema", {})
    text = parameter.get("description") or schema.get("description") or _kind(schema)
    return Parameter(parameter["name"], parameter["in"], bool(parameter.get("required")), text)


def _fields(operation: dict[str, Any], schemas: dict[str, Any]) -> Iterator[Parameter]:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = schemas.get(content.get("schema", {}).get("$ref", "").rpartition("/")[2], {})
        for name, field in schema.get("properties", {}).items():
            yield Parameter(name, "body", name in schema.get("required", []), field.get("description") or _kind(field))


def _kind(schema: dict[str, Any]) -> str:
    """Say what a schema without a description takes."""
    kinds = [_kind(each) for each in schema.get("oneOf", schema.get("anyOf", []))]
    if "type" in schema:
        kinds.append(str(schema["type"]))
    limits = [f"{word} {schema[name]}" for name, word in _LIMITS.items() if name in schema]
    return " or ".join(kinds) + (f", {', '.join(limits)}" if limits else "")
