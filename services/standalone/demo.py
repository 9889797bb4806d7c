"""`halftone demo`: the sample site mirrored by the whole system, left up to look at."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from services.standalone import sample_site
from services.standalone.forever import wait
from services.standalone.once import ask
from services.standalone.system import Options, running


async def run_demo(data: Path, port: int, *, once: bool) -> None:
    """Mirror the sample site; stay up until cancelled, unless `once`.

    Raises:
        FetchFailed: The poll did not work.
        Misconfigured: The system cannot run.
    """
    with sample_site.serving() as site:
        options = Options(data=data, port=port, public_port=port, allow_hosts=site, quiet=True)
        async with running(options) as system:
            record = msgspec.json.decode(await ask(system, f"http://{site}/feed.xml"))
            _say(_urls(record))
            if once:
                _say([f"The images are below {data / 'objects'}; without --once the page is left up to look at."])
                return
            _say(_addresses(system.url, record))
            await wait(system)


def _urls(record: dict[str, Any]) -> Iterator[str]:
    """Say of each article where its images were and where they are now."""
    for article in record["toInsertArticleList"]:
        yield f"\n{article['title']}"
        for source, url in article["articleImgCdnMap"].items():
            yield f"    {source}\n  → {url}"


def _addresses(url: str, record: dict[str, Any]) -> list[str]:
    request_id, feed = record["record"]["requestId"], record["feed"]["id"]
    return [
        f"\nThe page:           {url}",
        f"The mirrored feed:  {url}/feeds/{feed}.atom",
        f"The record:         {url}/api/records/{request_id}",
        "Ctrl-C ends it.",
    ]


def _say(lines: "Iterator[str] | list[str]") -> None:
    print("\n".join(lines), file=sys.stderr, flush=True)
