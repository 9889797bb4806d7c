"""What the tests of the GitHub store share: files, and stores as several replicas open them."""

import asyncio
from collections.abc import Callable

from services.uploader.names import content_hash, object_name
from services.uploader.stores.github import GitHubStore
from tests.uploader.contract import DATA, NAME

TOKEN, WRONG = "token-octocat", "token-of-nobody-0123"
PATH = f"{NAME[:10]}/{content_hash(DATA)[:2]}/{content_hash(DATA)}.webp"
Opened = Callable[..., GitHubStore]


def contents(count: int) -> dict[str, bytes]:
    made = [DATA + b"%d" % number for number in range(count)]
    return {object_name(content_hash(data), "image/webp", "2026/11/25"): data for data in made}


async def put_all(store: GitHubStore, files: dict[str, bytes]) -> list[str]:
    stored = await asyncio.gather(*(store.put(name, data, "image/webp") for name, data in files.items()))
    return [each.url for each in stored]
