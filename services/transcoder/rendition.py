"""What a transcode takes and gives: the options, the limits, the rendition, and the reason for having none."""

import os

import msgspec

from shared.errors import Reject


class Unrenderable(Reject):
    """No rendition can be made of these bytes; the text is a reason that a person understands."""


class Limits(msgspec.Struct, frozen=True):
    """How much one image may ask of us before it is refused (all inclusive).

    Attributes:
        source_bytes: Size of the source file, in bytes.
        frame_pixels: Pixels of a still, or of one frame as the file stores it.
        canvas_pixels: Pixels of an animation's canvas, of which two copies are held.
        total_pixels: Pixels of all frames of a GIF together.
        page_pixels: Pixels of all frames of another animation, each of which is as large as its canvas.
        frames: Frames of an animation.
    """

    source_bytes: int = 50_000_000
    frame_pixels: int = 40_000_000
    canvas_pixels: int = 10_000_000
    total_pixels: int = 2_000_000_000
    page_pixels: int = 300_000_000
    frames: int = 10_000


class RenderOptions(msgspec.Struct, frozen=True):
    """How to render.

    Attributes:
        quality: libwebp's lossy quality to start from, 1 to 100.
        max_width: Widest rendition in pixels; None keeps the source's size.
        budget: Most bytes of a rendition; quality, then size, give way to it. The default is jsDelivr's
            per-file limit.
        lossless: True sends every pixel exactly; False chooses whichever of lossy and lossless is smaller.
        limits: What is refused.
        threads: Threads that decode and encode; None takes one per usable CPU.
    """

    quality: int = 75
    max_width: int | None = None
    budget: int = 20_000_000
    lossless: bool = False
    limits: Limits = Limits()
    threads: int | None = None

    @property
    def workers(self) -> int:
        """Threads to start."""
        return self.threads or len(os.sched_getaffinity(0))


class Rendition(msgspec.Struct, frozen=True):
    """The image to store, with its figures.

    Attributes:
        data: The file.
        content_type: Its media type: `image/webp`, or the source's where its bytes were kept.
        width: Pixels.
        height: Pixels.
        frames: Frames of the source; 1 for a still.
        duration_ms: Milliseconds of one play of an animation; 0 for a still.
        source_bytes: Size of the source file.
        quality: The lossy quality used; 100 where nothing was lost.
        lossless: Whether every pixel is the source's.
        notes: What was done and why, a short sentence each.
        decode_ms: Milliseconds until a still's pixels were there; 0 for an animation, whose frames are decoded while
            others are encoded.
    """

    data: bytes
    content_type: str
    width: int
    height: int
    frames: int
    duration_ms: int
    source_bytes: int
    quality: int
    lossless: bool
    notes: tuple[str, ...] = ()
    decode_ms: int = 0

    @property
    def rendition_bytes(self) -> int:
        """Size of the rendition in bytes."""
        return len(self.data)
