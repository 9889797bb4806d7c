"""Make the rendition of an image: the one call that the service and the command line make."""

import msgspec

from services.transcoder import stills
from services.transcoder.animate import animate_gif
from services.transcoder.drawings import draw
from services.transcoder.gif import parse
from services.transcoder.rendition import RenderOptions, Rendition, Unrenderable
from services.transcoder.sniff import SHOWN_BY_BROWSERS, Format, sniff

WEBP = SHOWN_BY_BROWSERS[Format.WEBP]


def transcode(data: bytes, options: RenderOptions = RenderOptions()) -> Rendition:  # noqa: B008 - frozen
    """Make the rendition of an image: a WebP smaller than the source, or the source itself.

    Args:
        data: The source file.
        options: How to render, and what to refuse.

    Raises:
        Unrenderable: It is no image that is rendered, broken, or beyond a limit.
    """
    if len(data) > options.limits.source_bytes:
        raise Unrenderable(f"it has {len(data):,} bytes; {options.limits.source_bytes:,} are allowed")
    known = sniff(data)
    rendition = _gif(data, options) if known is Format.GIF else _still(data, known, options)
    return _kept(data, known, rendition)


def _gif(data: bytes, options: RenderOptions) -> Rendition:
    gif = parse(data, options.limits)
    film = animate_gif(data, gif, options.quality, options.lossless, options.workers)
    return Rendition(
        data=film.data,
        content_type=WEBP,
        width=gif.width,
        height=gif.height,
        frames=len(gif.frames),
        duration_ms=gif.duration_ms,
        source_bytes=len(data),
        quality=100 if film.lossless else options.quality,
        lossless=film.lossless,
    )


def _still(data: bytes, known: Format, options: RenderOptions) -> Rendition:
    opened = draw(data, options.limits) if known is Format.SVG else stills.open_image(data, known, options.limits)
    image = stills.decode(opened, options.max_width)
    still = stills.encode_exactly(image) if options.lossless else stills.encode(image, options.quality)
    return Rendition(
        data=still.data,
        content_type=WEBP,
        width=image.width,
        height=image.height,
        frames=1,
        duration_ms=0,
        source_bytes=len(data),
        quality=100 if still.lossless else options.quality,
        lossless=still.lossless,
    )


def _kept(data: bytes, known: Format, rendition: Rendition) -> Rendition:
    """Keep the source's bytes where ours are not fewer and browsers show them."""
    if len(rendition.data) < len(data) or known not in SHOWN_BY_BROWSERS:
        return rendition
    return msgspec.structs.replace(
        rendition,
        data=data,
        content_type=SHOWN_BY_BROWSERS[known],
        quality=100,
        lossless=True,
        notes=(*rendition.notes, "kept the source's bytes: no WebP of it is smaller"),
    )
