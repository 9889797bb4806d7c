"""The transcoder's settings."""

from typing import Annotated

import msgspec

from services.transcoder.webp import MOST_PIXELS_A_SIDE
from shared.settings import Count, Deadline, Positive, Seconds, Settings

Quality = Annotated[int, msgspec.Meta(ge=1, le=100)]
Width = Annotated[int, msgspec.Meta(ge=1, le=MOST_PIXELS_A_SIDE)]
Budget = Annotated[int, msgspec.Meta(ge=1_000)]  # bytes: into fewer no image fits
Memory = Annotated[int, msgspec.Meta(ge=150_000_000)]  # bytes: in fewer not even a small image is rendered
Processor = Annotated[float, msgspec.Meta(ge=1)]  # seconds: the kernel counts whole ones


class TranscoderSettings(Settings, frozen=True, kw_only=True):
    """Besides what every service is told."""

    allow_hosts: str = ""  # HOST:PORT … that images may come from although they are not public
    proxies: str = ""  # URLs of HTTP proxies, spaces between, for images that cannot be had directly
    quality: Quality = 75  # libwebp's
    max_width: Width | None = None  # pixels; wider images are scaled down; empty: none is
    budget: Budget = 20_000_000  # bytes of one rendition at the most
    source_max_bytes: Positive = 50_000_000  # of an image's file
    frame_pixels: Positive = 40_000_000  # of a still, or of one frame as its file stores it
    canvas_pixels: Positive = 10_000_000  # of an animation's canvas
    total_pixels: Positive = 2_000_000_000  # of all frames of an animation together
    frames: Positive = 10_000  # of an animation
    download_seconds: Deadline = 60.0  # for one try to get an image's bytes
    render_seconds: Processor = 60.0  # for one image, on the wall
    render_memory: Memory = 1_000_000_000  # bytes that rendering one image may take
    workers: Count = 0  # images rendered at the same time; 0: one per CPU
    gone_seconds: Seconds = 600.0  # for which an image that is gone (404, 410) is not asked for again
