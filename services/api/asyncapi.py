"""Describes the events for subscribers: AsyncAPI 3.0, made from the messages themselves.

`python -m services.api.asyncapi` writes `docs/asyncapi.json`; the tests say when it is out of date.
"""

import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from services.api.wire import Record
from shared import messages
from shared.messages import (
    ArticleFound,
    ArticleUpdated,
    FeedPolled,
    ImageFailed,
    ImageMirrored,
    Message,
    RecordCompleted,
)
from shared.topology import DAY, EVENTS

TARGET = Path(__file__).parents[2] / "docs" / "asyncapi.json"
KINDS: tuple[type[Message], ...] = (
    ArticleFound,
    ArticleUpdated,
    FeedPolled,
    ImageMirrored,
    ImageFailed,
    RecordCompleted,
)
_FIELD = re.compile(r"^    (\w+): .*?#\s*(.+)$")
_CLASS = re.compile(r"^class (\w+)\(")


def document() -> dict[str, Any]:
    """Return the AsyncAPI document."""
    described = [_with_record(kind) if kind is RecordCompleted else kind for kind in KINDS]
    _, schemas = msgspec.json.schema_components(described, ref_template="#/components/schemas/{name}")
    _describe(schemas)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Halftone's events",
            "version": "1",
            "description": "What happens, on a NATS JetStream stream. Fields may be added: ignore unknown ones.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": "127.0.0.1:4222",
                "protocol": "nats",
                "description": f"Stream {EVENTS.name}, kept for {EVENTS.max_age / DAY:.0f} days.",
            }
        },
        "channels": {_name(kind): _channel(kind) for kind in KINDS},
        "operations": {f"follow{kind.__name__}": _operation(kind) for kind in KINDS},
        "components": {
            "schemas": schemas,
            "messages": {kind.__name__: _message(kind) for kind in KINDS},
        },
    }


def encoded() -> bytes:
    """Return the document as it is kept in `docs`."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=1) + b"\n"


def _with_record(kind: type[Message]) -> type[msgspec.Struct]:
    """Return the message with its record as what it is, where the message itself holds raw bytes."""
    fields = [
        (field.name, Record | None, None)
        if field.name == "record"
        else (field.name, field.type, field.default)
        if field.default is not msgspec.NODEFAULT
        else (field.name, field.type)
        for field in msgspec.structs.fields(kind)
    ]
    return msgspec.defstruct(kind.__name__, fields, tag_field="type", tag=_name(kind), kw_only=True)


def _name(kind: type[Message]) -> str:
    return str(kind.__struct_config__.tag)


def _channel(kind: type[Message]) -> dict[str, Any]:
    return {
        "address": f"evt.{_name(kind)}",
        "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"}},
    }


def _operation(kind: type[Message]) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{_name(kind)}"},
        "messages": [{"$ref": f"#/channels/{_name(kind)}/messages/{kind.__name__}"}],
    }


def _message(kind: type[Message]) -> dict[str, Any]:
    return {
        "name": _name(kind),
        "summary": (kind.__doc__ or "").split("\n", 1)[0],
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
    }


def _describe(schemas: dict[str, dict[str, Any]]) -> None:
    """Take each field's meaning from the comment beside it, which is where it is kept."""
    for name, field, meaning in _comments(inspect.getsource(messages).splitlines()):
        properties = schemas.get(name, {}).get("properties", {})
        if field in properties:
            properties[field]["description"] = meaning


def _comments(source: Iterable[str]) -> Iterable[tuple[str, str, str]]:
    name = ""
    for line in source:
        if match := _CLASS.match(line):
            name = match[1]
        elif match := _FIELD.match(line):
            yield name, match[1], match[2]


if __name__ == "__main__":
    TARGET.write_bytes(encoded())
