"""Files made to take a decoder down, and a child process that is shown them one after the other.

`python -m tests.transcoder.bombs` prints a line of JSON for each: its name, how it ended, seconds and peak memory.
"""

import json
import random
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from struct import pack
from time import process_time

from PIL import Image

from services.transcoder import Unrenderable, transcode
from services.transcoder.webp import Patch, animation, bitstream
from tests.transcoder.gifs import Frame, gif

GREY = bytes(range(256)) * 3
MB = 1_000_000
Bomb = bytes | Callable[[], bytes]
"""A file, or how to make it where that takes time."""
EMPTY_CODE = b"\x08\x02\x00\x03\x00"


def gif_bombs() -> dict[str, Bomb]:
    """GIFs that claim, nest, repeat or break off."""
    dot = Frame(1, 1, b"\7")
    return {
        "500 frames of 6000 x 6000": _claimed(6000, 500),
        "a frame of 65535 x 65535 on one pixel": _claimed(65_535, 1),
        "65535 x 65535 as the second frame": gif(1, 1, [dot], GREY, trailer=b"") + _claim(65_535),
        "20,000 frames of 1000 x 1000": _claimed(1000, 20_000),
        "20,000 frames of one pixel": gif(1, 1, [dot] * 20_000, GREY),
        "9,999 frames of one pixel": gif(1, 1, [dot] * 9_999, GREY),
        "3,000 frames with restored canvases": gif(400, 400, [Frame(1, 1, b"\7", disposal=3)] * 3_000, GREY),
        "the largest canvas, one pixel a frame": _head(3100, 3100) + _claim(3100) + gif_frames(dot, 100),
        "the largest canvas, one colour": lambda: _saved(Image.new("L", (3100, 3100)), "GIF"),
        "frames without an area": gif(9, 9, [Frame(0, 0, b"")] * 500, GREY),
        "frames beyond the canvas": gif(9, 9, [dot, *[Frame(9, 9, bytes(81), left=60_000, top=60_000)] * 99], GREY),
        "code sizes from 0 to 255": _head(9, 9)
        + b"".join(_claim(9, bytes([size]) + EMPTY_CODE[1:]) for size in range(256)),
        "codes of noise": _head(900, 900) + b"".join(_claim(900, b"\x08" + _blocks(_noise(9000))) for _ in range(30)),
        "a comment of 9 MB": _head(9, 9) + b"!\xfe" + (b"\xff" + bytes(255)) * 36_000 + b"\0" + _claim(9),
        "a million control extensions": _head(9, 9) + b"!\xf9\4\0\0\0\0\0" * 1_000_000 + _claim(9),
        "a million empty extensions": _head(9, 9) + b"!\x01\0" * 1_000_000,
        "an endless loop of trailers": _head(9, 9) + b";" * MB,
        "a canvas without pixels": _head(0, 0) + _claim(0),
    }


def png_bombs() -> dict[str, Bomb]:
    """PNGs with compressed chunks, claims, and animations that lie."""
    text = zlib.compress(b"a" * 6 * MB)
    head = _chunk(b"IHDR", pack(">2I5B", 64, 64, 8, 2, 0, 0, 0))
    body = _chunk(b"IDAT", zlib.compress(bytes(64 * (64 * 3 + 1)))) + _chunk(b"IEND", b"")
    start = b"\x89PNG\r\n\x1a\n"
    claims = _chunk(b"acTL", pack(">2I", 2**31 - 1, 0))
    control = _chunk(b"fcTL", pack(">5I2H2B", 0, 64, 64, 0, 0, 1, 100, 0, 0))
    beyond = _chunk(b"fcTL", pack(">5I2H2B", 1, 2**30, 2**30, 7, 7, 1, 100, 0, 0))
    return {
        "zTXt of 6 MB": start + head + _chunk(b"zTXt", b"k\0\0" + text) + body,
        "200 zTXt of 900 kB": start + head + _chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(900_000), 1)) * 200 + body,
        "iTXt of 6 MB": start + head + _chunk(b"iTXt", b"k\0\1\0\0\0" + text) + body,
        "a profile of 60 MB": lambda: (
            start + head + _chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(60 * MB), 1)) + body
        ),
        "30,000 x 30,000 pixels": start + _chunk(b"IHDR", pack(">2I5B", 30_000, 30_000, 1, 0, 0, 0, 0)) + body,
        "2^31 pixels wide": start + _chunk(b"IHDR", pack(">2I5B", 2**31 - 1, 1, 1, 0, 0, 0, 0)) + body,
        "2 billion frames": start + head + claims + control + body,
        "a frame beyond the canvas": start + head + _chunk(b"acTL", pack(">2I", 2, 0)) + control + body[:-12] + beyond,
        "the most pixels": lambda: _saved(Image.new("1", (6300, 6300)), "PNG"),
        "the most 16-bit pixels": lambda: _saved(Image.new("I;16", (6300, 6300)), "PNG"),
        "more IDAT than pixels": lambda: (
            start + head + _chunk(b"IDAT", zlib.compress(bytes(90 * MB))) + _chunk(b"IEND", b"")
        ),
    }


def other_bombs() -> dict[str, Bomb]:
    """Whatever else is opened."""
    jpeg = _saved(Image.new("RGB", (64, 64), "red"), "JPEG")
    sizes = jpeg.index(b"\xff\xc0") + 5
    avif = _saved(Image.new("RGB", (64, 64), "red"), "AVIF")
    ispe = avif.index(b"ispe") + 8
    tiff = _saved(Image.new("L", (64, 64)), "TIFF")
    bmp = _saved(Image.new("L", (64, 64)), "BMP")
    ico = _saved(Image.new("L", (64, 64)), "ICO")
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", pack(">2I5B", 30_000, 30_000, 8, 6, 0, 0, 0)) + _chunk(b"IEND", b"")
    frame = bitstream(_saved(Image.new("RGB", (1, 1)), "WEBP"))
    dots = [bytes(Patch(0, 0, 1, 1, 20, False, frame))]
    progressive = _saved(Image.new("L", (1500, 1500), 99), "JPEG", progressive=True)
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    return {
        "a JPEG of 65,500 x 65,500": jpeg[:sizes] + pack(">2H", 65_500, 65_500) + jpeg[sizes + 4 :],
        "a JPEG of 300 scans": progressive[:-2] + scan * 300 + b"\xff\xd9",
        "an AVIF of 30,000 x 30,000": avif[:ispe] + pack(">2I", 30_000, 30_000) + avif[ispe + 8 :],
        "an AVIF of 6,000 x 6,000 that is not": avif[:ispe] + pack(">2I", 6_000, 6_000) + avif[ispe + 8 :],
        "the most pixels of AVIF": lambda: _saved(Image.new("RGB", (6300, 6300)), "AVIF", speed=10),
        "a TIFF of 65,535 x 65,535": _tagged(_tagged(tiff, 256, 65_535), 257, 65_535),
        "a TIFF of negative strips": _tagged(tiff, 273, 2**31),
        "a BMP of 100,000 x 100,000": bmp[:18] + pack("<2i", 100_000, -100_000) + bmp[26:],
        "an ICO with a PNG of 30,000 x 30,000": ico[:14] + pack("<2I", len(png), 22) + png,
        "a WebP of 16,384 x 16,384": animation(16_384, 16_384, 0, True, dots),
        "30,000 frames of WebP": animation(64, 64, 0, True, dots * 30_000),
        "the largest canvas of WebP, 8 frames": animation(3100, 3100, 0, True, dots * 8),
        "the largest canvas of WebP, 200 frames": animation(3100, 3100, 0, True, dots * 80),
        "no bytes": b"",
        "a web page": b"<!DOCTYPE html><html>" + b"<div>" * MB,
    }


def broken_files() -> dict[str, Bomb]:
    """Every format cut off at three places, and followed by noise."""
    picture = Image.effect_noise((120, 90), 60)
    files = {kind: _saved(picture, kind) for kind in ("AVIF", "BMP", "ICO", "JPEG", "PNG", "TIFF", "WEBP")}
    files["GIF"] = _saved(picture, "GIF", save_all=True, append_images=[picture.rotate(90)])
    broken: dict[str, Bomb] = {}
    for kind, data in files.items():
        for share in (0.1, 0.5, 0.95):
            broken[f"{share:.0%} of a {kind}"] = data[: int(len(data) * share)]
        broken[f"a {kind} that turns into noise"] = data[: len(data) // 3] + _noise(len(data))
    return broken


ALL: tuple[Callable[[], dict[str, Bomb]], ...] = (gif_bombs, png_bombs, other_bombs, broken_files)


def gif_frames(frame: Frame, count: int) -> bytes:
    """Give the frames of a GIF without the rest of it."""
    return gif(1, 1, [frame] * count, trailer=b"")[13:]


def _head(width: int, height: int) -> bytes:
    return b"GIF89a" + pack("<2H", width, height) + b"\xf7\0\0" + GREY


def _claim(side: int, data: bytes = EMPTY_CODE) -> bytes:
    return b"," + pack("<4HB", 0, 0, side, side, 0) + data


def _claimed(side: int, count: int) -> bytes:
    return _head(1, 1) + _claim(side) * count + b";"


def _blocks(data: bytes) -> bytes:
    return b"".join(bytes([len(data[at : at + 255])]) + data[at : at + 255] for at in range(0, len(data), 255)) + b"\0"


def _chunk(name: bytes, content: bytes) -> bytes:
    return pack(">I", len(content)) + name + content + pack(">I", zlib.crc32(name + content))


def _noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311 - no secret


def _tagged(tiff: bytes, tag: int, value: int) -> bytes:
    """Change a tag's value in a little-endian TIFF."""
    at = int.from_bytes(tiff[4:8], "little") + 2
    while int.from_bytes(tiff[at : at + 2], "little") != tag:
        at += 12
    return tiff[: at + 2] + pack("<HII", 4, 1, value) + tiff[at + 12 :]


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def shown() -> Iterator[dict[str, str | float]]:
    """Show every bomb to the transcoder; tell how it went."""
    for family in ALL:
        for name, bomb in family().items():
            data = bomb if isinstance(bomb, bytes) else bomb()
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
            start = process_time()
            try:
                made = transcode(data)
                ended = f"{made.width} x {made.height}, {made.frames} frames"
            except Unrenderable as refused:
                ended = f"refused: {refused}"
            seconds = process_time() - start
            status = Path("/proc/self/status").read_text(encoding="ascii")
            peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
            yield {"name": name, "ended": ended, "seconds": seconds, "peak_mb": peak}


if __name__ == "__main__":
    for line in shown():
        print(json.dumps(line), flush=True)  # noqa: T201 - what the test reads
