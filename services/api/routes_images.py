"""Images: how one was settled, and failed ones tried again."""

from typing import Annotated

import msgspec
from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import JSONBody, QueryParameter
from sqlalchemy import select

from services.api.retrying import Retried, Scope
from services.api.services import ApiParts
from services.api.tables import images
from shared.errors import Reject
from shared.messages import ImageFailed, ImageMirrored
from shared.urls import image_id


class ImageView(msgspec.Struct, frozen=True, kw_only=True):
    """An image as known now."""

    image: str  # its id
    source: str
    state: str  # wanted, mirrored or failed
    url: str | None  # the CDN's
    result: ImageMirrored | ImageFailed | None


@get("/api/images")
async def find_image(
    api: ApiParts, source: Annotated[str, QueryParameter(min_length=1, max_length=8_192)]
) -> ImageView:
    """Return what is known of the image at a source URL."""
    try:
        name = image_id(source)
    except ValueError as error:
        raise Reject(f"{error}: give the image's whole address") from error
    async with api.database.read() as connection:
        row = (await connection.execute(select(images).where(images.c.image == name))).first()
    if row is None:
        raise NotFoundException("no article wanted this image so far")
    result = msgspec.json.decode(row.message, type=ImageMirrored | ImageFailed) if row.message else None
    return ImageView(image=name, source=row.source, state=row.state, url=row.url, result=result)


@post("/api/images/retry", status_code=202)
async def retry_images(data: JSONBody[Scope], api: ApiParts) -> Retried:
    """Try failed images again, by record, feed, host or image; updated records follow."""
    return await api.retrying.retry(data)
