"""The transcoder's settings."""

from shared.settings import Settings


class TranscoderSettings(Settings, frozen=True, kw_only=True):
    """Besides what every service is told."""

    allow_hosts: str = ""  # HOST:PORT … that images may come from although they are not public
    proxies: str = ""  # URLs of HTTP proxies, spaces between, for images that cannot be had directly
    quality: int = 75  # libwebp's, 1 to 100
    max_width: int | None = None  # pixels; wider images are scaled down; empty: none is
    budget: int = 20_000_000  # bytes of one rendition at the most
    source_max_bytes: int = 50_000_000  # of an image's file
    frame_pixels: int = 40_000_000  # of a still, or of one frame as its file stores it
    canvas_pixels: int = 10_000_000  # of an animation's canvas
    total_pixels: int = 2_000_000_000  # of all frames of an animation together
    frames: int = 10_000  # of an animation
    download_seconds: float = 60.0  # for one try to get an image's bytes
    render_seconds: float = 60.0  # for one image, on the wall
    render_memory: int = 1_000_000_000  # bytes that rendering one image may take
    workers: int = 0  # images rendered at the same time; 0: one per CPU
    gone_seconds: float = 600.0  # for which an image that is gone (404, 410) is not asked for again
