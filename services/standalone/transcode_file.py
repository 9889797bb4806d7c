"""`halftone transcode`: one image file to a WebP, with the figures."""

from pathlib import Path

from services.standalone.progress import human
from services.transcoder import RenderOptions, Rendition, transcode
from shared.errors import HalftoneError


def transcode_file(source: Path, destination: Path, options: RenderOptions) -> None:
    """Write the rendition of `source` to `destination` and print its figures.

    Raises:
        HalftoneError: A file cannot be read or written, or no rendition can be made.
    """
    try:
        data = _read(source, options.limits.source_bytes)
        _check_apart(source, destination)
        rendition = transcode(data, options)
        destination.write_bytes(rendition.data)
    except OSError as error:
        raise HalftoneError(f"{error.filename}: {error.strerror}") from error
    except HalftoneError as error:
        raise HalftoneError(f"{source}: {error}") from error
    print("\n".join(figures(rendition)))


def _read(source: Path, limit: int) -> bytes:
    """Read one byte more than is allowed at the most: what has more is refused anyway, and may have no end."""
    with source.open("rb") as file:
        return file.read(limit + 1)


def _check_apart(source: Path, destination: Path) -> None:
    if destination.exists() and destination.samefile(source):
        raise HalftoneError("the rendition would be written over it: name another file")


def figures(rendition: Rendition) -> list[str]:
    """Return what a person wants to know of a rendition, a line each."""
    kept = rendition.rendition_bytes / rendition.source_bytes
    how = "lossless" if rendition.lossless else f"quality {rendition.quality}"
    moving = f", {rendition.frames} frames, {rendition.duration_ms / 1000:.2f} s" if rendition.frames > 1 else ""
    return [
        f"{rendition.content_type}, {rendition.width}×{rendition.height}{moving}, {how}",
        f"{human(rendition.source_bytes)} → {human(rendition.rendition_bytes)} ({kept:.1%})",
        *rendition.notes,
    ]
