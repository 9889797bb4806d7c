"""Feeds to poll, each with images of its own."""

import io
from typing import Any

from PIL import Image

from tests.servers import Site


def fill(site: Site, feeds: int) -> None:
    """Have the site serve feeds whose images are its own: a still, an animation, one that is gone."""
    for number in range(feeds):
        noise = [Image.effect_noise((640, 480), 20 + number + shade) for shade in range(4)]
        site.page(f"/{number}/a.png", _encoded(noise[0], "PNG"), Content_Type="image/png")
        moving = _encoded(noise[0], "GIF", save_all=True, append_images=noise[1:])
        site.page(f"/{number}/b.gif", moving, Content_Type="image/gif")
        pictures = "".join(
            f"&lt;img src='{site.url(f'/{number}/{name}')}'&gt;" for name in ("a.png", "b.gif", "gone.png")
        )
        body = (
            f"<rss version='2.0'><channel><title>t</title><item><title>i</title><link>{site.url(f'/{number}/')}</link>"
        )
        body += f"<description>{pictures}</description></item></channel></rss>"
        site.page(f"/{number}/feed.xml", body.encode(), Content_Type="application/rss+xml")


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()
