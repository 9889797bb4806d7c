"""The document for subscribers: current, consistent, and true of the messages."""

import re
from pathlib import Path
from typing import Any

import msgspec

from services.api.asyncapi import TARGET, document, encoded
from shared.messages import encode
from tests.api.builders import article, found, wanted

DOCS = Path(__file__).parents[2] / "docs"


def test_the_kept_document_is_current() -> None:
    assert TARGET.read_bytes() == encoded(), "run `python -m services.api.asyncapi`"


def test_every_reference_leads_somewhere() -> None:
    made = document()
    for reference in re.findall(r'"\$ref": ?"#/([^"]+)"', encoded().decode()):
        place: Any = made
        for part in reference.split("/"):
            place = place[part]


def test_a_message_has_the_documents_fields() -> None:
    sent = msgspec.json.decode(encode(found("r_1", article("one", wanted("a.gif")))))
    schemas = document()["components"]["schemas"]

    assert set(sent) == set(schemas["ArticleFound"]["properties"])
    assert set(sent["article"]) == set(schemas["Article"]["properties"])


def test_fields_say_what_they_mean() -> None:
    fields = document()["components"]["schemas"]["ImageMirrored"]["properties"]

    assert fields["url"]["description"] == "the CDN URL"


def test_the_subscribers_example_is_short() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / "events.md").read_text(encoding="utf-8"), re.DOTALL)

    compile(example, "example", "exec")
    assert len(example.splitlines()) < 30
