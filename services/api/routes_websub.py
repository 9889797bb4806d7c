"""Where hubs call (WebSub): they verify that we asked for their pushes, and each push has its feed polled at once."""

import time
from typing import Annotated

import msgspec
import structlog
from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, PathParameter
from sqlalchemy import exists, select

from services.api.requests import AnyRequest
from services.api.services import Api, ApiParts
from services.api.tables import feeds
from shared.messages import FeedDue
from shared.topology import WEBSUB
from shared.websub import PATH, Subscription, decode_subscription, hear, is_genuine, knows

log = structlog.get_logger()

LARGEST_PUSH = 8 * 1024 * 1024  # bytes: a hub sends the feed, which is only read to see that the hub signed it
CALLBACK = PATH.format(feed="{feed:int}", token="{token:str}")  # noqa: S106 - a place in a path
FeedId = Annotated[int, PathParameter(ge=1, lt=2**31)]


@get(CALLBACK, opt={"public": True}, include_in_schema=False)
async def answer_hub(request: AnyRequest, feed: FeedId, token: FromPath[str], api: ApiParts) -> Response[str]:
    """Say to a hub that we have asked for its pushes (section 5.3), and keep until when they come."""
    query = {name: str(value) for name, value in request.query_params.items()}
    heard = hear(await _subscription(api, feed), token, query, int(time.time() * 1000))
    if heard is None:
        raise NotFoundException("nobody here has asked for this")
    challenge, subscription = heard
    await api.bus.bucket(WEBSUB).put(str(feed), msgspec.json.encode(subscription))
    log.info("hub answered", feed=feed, hub=subscription.hub, denied=subscription.denied)
    return Response(challenge, media_type="text/plain")


@post(CALLBACK, opt={"public": True}, include_in_schema=False, status_code=202, request_max_body_size=LARGEST_PUSH)
async def take_push(request: AnyRequest, feed: FeedId, token: FromPath[str], api: ApiParts) -> None:
    """Have the feed polled that a hub says has news; who is not the hub gets the same answer (section 7.1)."""
    subscription = await _subscription(api, feed)
    if subscription is None or not knows(subscription, token):
        return  # before megabytes are taken from anybody
    signature = request.headers.get("x-hub-signature", "")
    if is_genuine(subscription, token, signature, await request.body()) and await _is_wanted(api, feed):
        await api.bus.publish(FeedDue(feed=feed))


async def _subscription(api: Api, feed: int) -> Subscription | None:
    entry = await api.bus.bucket(WEBSUB).get(str(feed))
    return decode_subscription(entry.value) if entry else None


async def _is_wanted(api: Api, feed: int) -> bool:
    """Tell whether the feed is to be polled without anybody asking."""
    wanted = exists().where(feeds.c.id == feed, feeds.c.subscribed, ~feeds.c.paused)
    async with api.database.read() as connection:
        return bool((await connection.execute(select(wanted))).scalar())
