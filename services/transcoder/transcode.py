"""Make the rendition of an image: the one call that the service and the command line make."""

from collections.abc import Callable
from time import perf_counter

import msgspec

from services.transcoder import stills
from services.transcoder.animate import animate
from services.transcoder.budget import within_budget
from services.transcoder.drawings import draw, has_text
from services.transcoder.gif import parse
from services.transcoder.kept import without_metadata
from services.transcoder.rendition import Limits, RenderOptions, Rendition, Unrenderable
from services.transcoder.sniff import SHOWN_BY_BROWSERS, Format, sniff
from services.transcoder.sources import GifSource, PagesSource, Scaled, Source
from services.transcoder.webp import MOST_PIXELS_A_SIDE

ONE_PICTURE = {Format.TIFF, Format.ICO}
"""Their frames are pages and sizes."""
TEXTLESS = "drawn without its text: no font is opened where hostile images are"
WEBP = SHOWN_BY_BROWSERS[Format.WEBP]


def transcode(data: bytes, options: RenderOptions = RenderOptions()) -> Rendition:  # noqa: B008 - frozen
    """Make the rendition of an image: a WebP smaller than the source, or the source itself.

    Args:
        data: The source file.
        options: How to render, and what to refuse.

    Raises:
        Unrenderable: It is no image that is rendered, broken, or beyond a limit.
    """
    limit = options.limits.source_bytes
    if len(data) > limit:
        raise Unrenderable(f"it has {len(data):,} bytes; {limit:,} are allowed")
    known = sniff(data)
    return _kept(data, known, _rendered(data, known, options))


def _rendered(data: bytes, known: Format, options: RenderOptions) -> Rendition:
    match known:
        case Format.GIF:
            gif = parse(data, options.limits)
            return _animation(lambda: GifSource(data, gif), len(data), options)
        case Format.SVG:
            drawn = _still(*_decoded(draw(data, options.limits), options), len(data), options)
            return msgspec.structs.replace(drawn, notes=(*drawn.notes, *([TEXTLESS] if has_text(data) else [])))
        case _:
            return _opened(data, known, options)


def _opened(data: bytes, known: Format, options: RenderOptions) -> Rendition:
    image = stills.open_image(data, known, options.limits)
    first = int(bool(image.info.get("default_image")))
    frames = 1 if known in ONE_PICTURE else int(getattr(image, "n_frames", 1))
    if frames - first > 1:
        _check_frames(image.width * image.height, frames, options.limits)
        return _animation(
            lambda: PagesSource(stills.open_image(data, known, options.limits), first), len(data), options
        )
    decoded, decode_ms = _decoded(image, options)
    del image  # its pixels are not needed twice
    return _still(decoded, decode_ms, len(data), options)


def _decoded(image: stills.Image.Image, options: RenderOptions) -> tuple[stills.Image.Image, int]:
    """Return the pixels and the milliseconds until they were there."""
    start = perf_counter()
    return stills.decode(image, options.max_width), round((perf_counter() - start) * 1000)


def _check_frames(pixels: int, frames: int, limits: Limits) -> None:
    if frames > limits.frames:
        raise Unrenderable(f"it has {frames:,} frames; {limits.frames:,} are allowed")
    if pixels * frames > limits.page_pixels:
        raise Unrenderable(f"its frames have more than {limits.page_pixels:,} pixels in all")


def _animation(source: Callable[[], Source], source_bytes: int, options: RenderOptions) -> Rendition:
    size = source()
    if size.width * size.height > options.limits.canvas_pixels:
        allowed = options.limits.canvas_pixels
        raise Unrenderable(f"its canvas has {size.width} x {size.height} pixels; {allowed:,} are allowed in all")

    def render(quality: int, width: int) -> Rendition:
        frames = source() if width >= size.width else Scaled(source(), width)
        film = animate(frames, quality, options.lossless, options.workers)
        return Rendition(
            data=film.data,
            content_type=WEBP,
            width=frames.width,
            height=frames.height,
            frames=film.frames,
            duration_ms=film.duration_ms,
            source_bytes=source_bytes,
            quality=100 if film.lossless else quality,
            lossless=film.lossless,
            notes=_notes(size.width, frames.width, film.lossless and not options.lossless),
        )

    return within_budget(render, _width(size.width, size.height, options), options)


def _still(image: stills.Image.Image, decode_ms: int, source_bytes: int, options: RenderOptions) -> Rendition:
    def render(quality: int, width: int) -> Rendition:
        small = stills.shrink(image, width)
        still = stills.encode_exactly(small) if options.lossless else stills.encode(small, quality, options.workers)
        return Rendition(
            data=still.data,
            content_type=WEBP,
            width=small.width,
            height=small.height,
            frames=1,
            duration_ms=0,
            source_bytes=source_bytes,
            quality=100 if still.lossless else quality,
            lossless=still.lossless,
            notes=_notes(image.width, small.width, still.lossless and not options.lossless),
            decode_ms=decode_ms,
        )

    return within_budget(render, _width(image.width, image.height, options), options)


def _width(width: int, height: int, options: RenderOptions) -> int:
    """Give the widest that the options and WebP's longest side allow."""
    side = MOST_PIXELS_A_SIDE
    return min(width, side, max(1, side * width // height), options.max_width or width)


def _notes(before: int, after: int, lossless: bool) -> tuple[str, ...]:
    scaled = (f"scaled from {before} to {after} pixels in width",) if after < before else ()
    return (*scaled, "encoded without loss, which is smaller") if lossless else scaled


def _kept(data: bytes, known: Format, rendition: Rendition) -> Rendition:
    """Keep the source, less its metadata, where ours is not smaller and browsers show it."""
    if len(rendition.data) < len(data) or known not in SHOWN_BY_BROWSERS:
        return rendition
    kept = without_metadata(data, known)
    return msgspec.structs.replace(
        rendition,
        data=kept,
        content_type=SHOWN_BY_BROWSERS[known],
        quality=100,
        lossless=True,
        notes=("kept the source's image: no WebP of it is smaller",),
    )
