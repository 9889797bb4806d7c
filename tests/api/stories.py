"""A poll told to a running api, complete: three articles, three mirrored images, one that failed."""

from collections.abc import Sequence

from shared.messages import Message
from tests.api.builders import SITE, article, failed, found, mirrored, polled, wanted
from tests.api.running import Site

ONE = article("one", wanted("a.gif", "cover"), wanted("a.gif"), wanted("b.png"), wanted("dead.png"), guid="guid-1")
TWO = article("two", wanted("c.jpg", "cover"), wanted("b.png"), published_ms=1_599_000_000_000, author="Ann")
THREE = article("three", body="<p>Nothing but a Überraschung</p>")
FEED_URL = f"{SITE}/feed.xml"


def story(request_id: str, feed: int = 1) -> Sequence[Message]:
    """Return the events of the poll."""
    return (
        found(request_id, ONE, 0, feed),
        found(request_id, TWO, 1, feed),
        found(request_id, THREE, 2, feed),
        polled(request_id, ONE, TWO, THREE, feed=feed, asked=True),
        mirrored("a.gif", size=300),
        mirrored("b.png", size=20),
        mirrored("c.jpg", size=1),
        failed("dead.png"),
    )


async def told(site: Site, url: str = FEED_URL) -> tuple[int, str]:
    """Subscribe to the feed and tell its first poll; return the feed's id and the poll's requestId."""
    feed = (await site.client.post("/api/feeds", json={"url": url, "folder": "News/Tech"})).json()["id"]
    asked = await site.client.post("/api/fetches", json={"url": url})
    request_id = asked.json()["requestId"]
    await site.say(*story(request_id, feed))
    await site.record(request_id)
    return feed, request_id
