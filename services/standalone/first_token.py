"""Make the api's first token, for containers: `python -m services.standalone.first_token FILE`.

The api listens for others only once there is a token; this runs before it. A file that is there stays as it is.
"""

import asyncio
import sys
from pathlib import Path

from services.api.database import open_database
from services.api.settings import ApiSettings
from services.api.tokens import new_token
from shared.errors import HalftoneError
from shared.settings import load


async def make_token() -> str:
    """Return a new administrator's token.

    Raises:
        Misconfigured: The database does not work.
    """
    settings = load(ApiSettings)
    database = await open_database(settings.database_url, settings.data)
    try:
        return await new_token(database, "compose", "admin")
    finally:
        await database.close()


def keep(token: str, file: Path) -> None:
    """Write it where only the file's owner reads it, whole or not at all."""
    draft = file.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(token + "\n", encoding="ascii")
    draft.rename(file)


def main(file: Path) -> None:
    """Make the token unless there is one."""
    if not file.exists():
        keep(asyncio.run(make_token()), file)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except HalftoneError as error:
        sys.exit(f"halftone: {error}")
