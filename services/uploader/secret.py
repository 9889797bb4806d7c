"""A secret by reference: where it stands, never what it is, until it is revealed to the store that needs it."""

import os
from pathlib import Path

import msgspec

from shared.errors import Misconfigured


class Secret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`{ env = "NAME" }` or `{ file = "/run/secrets/name" }`: exactly one of them."""

    env: str = ""
    file: str = ""

    def __post_init__(self) -> None:
        if bool(self.env) == bool(self.file):
            raise ValueError('a secret is { env = "NAME" } or { file = "PATH" }')

    def reveal(self) -> str:
        """Return the secret's text without surrounding white space.

        Raises:
            Misconfigured: The variable or file is not there or is empty; the text names it, not its content.
        """
        value = os.environ.get(self.env, "") if self.env else _content(self.file)
        value = value.strip()
        where = f"environment variable {self.env}" if self.env else f"file {self.file}"
        if not value:
            raise Misconfigured(f"the {where} is not set or empty")
        if not (value.isascii() and value.isprintable()):
            raise Misconfigured(f"the {where} holds characters that no HTTP header may carry")
        return value


def _content(file: str) -> str:
    try:
        return Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise Misconfigured(f"the secret's file {file} cannot be read: {reason}") from None
