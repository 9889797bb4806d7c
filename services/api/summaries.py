"""What subscribers over HTTP are told of each event: the message, its bulky parts left out."""

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.messages import Event

_LEFT_OUT: Mapping[str, frozenset[str]] = {
    "article.found": frozenset({"body", "images"}),
    "article.updated": frozenset({"body", "images"}),
    "feed.polled": frozenset({"found", "updated", "invalid_hrefs", "facts", "icon"}),
    "record.completed": frozenset({"record"}),
}


def summary(event: Event) -> bytes:
    """Return the event as JSON without bodies and long lists; what is left out is a request away."""
    tag = str(event.__struct_config__.tag)
    left_out = _LEFT_OUT.get(tag, frozenset())
    return msgspec.json.encode({"type": tag} | _without(event, left_out))


def _without(struct: msgspec.Struct, names: frozenset[str]) -> dict[str, Any]:
    def nested(value: Any) -> Any:
        return _without(value, names) if isinstance(value, msgspec.Struct) else value

    return {name: nested(value) for name, value in msgspec.structs.asdict(struct).items() if name not in names}
