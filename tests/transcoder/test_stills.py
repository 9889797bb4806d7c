from io import BytesIO
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image, ImageCms

from services.transcoder import RenderOptions, transcode
from services.transcoder.rendition import Rendition

EXACT = RenderOptions(lossless=True)
ORIENTATION = 0x0112


def photo(width: int = 160, height: int = 100) -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    channels = [127 + 90 * np.sin(rows / 17 + shift) * np.cos(columns / (13 + shift)) for shift in range(3)]
    grain = np.random.default_rng(3).normal(0, 6, (height, width, 3))
    return Image.fromarray((np.stack(channels, 2) + grain).clip(0, 255).astype(np.uint8))


def profile(space: str) -> bytes:
    return ImageCms.ImageCmsProfile(cast("Any", ImageCms.createProfile(cast("Any", space)))).tobytes()


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def opened(made: Rendition) -> Image.Image:
    image = Image.open(BytesIO(made.data))
    image.load()
    return image


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF", "ICO"])
def test_every_format_is_rendered(kind: str) -> None:
    data = saved(photo(), kind, **({"sizes": [(160, 100)]} if kind == "ICO" else {"quality": 95}))

    made = transcode(data)

    assert (
        made.content_type,
        made.width,
        made.height,
        made.frames,
        made.duration_ms,
    ) == ("image/webp", 160, 100, 1, 0)
    assert made.rendition_bytes < made.source_bytes == len(data)
    assert np.abs(np.asarray(opened(made)).astype(int) - np.asarray(photo())).mean() < 6


@pytest.mark.parametrize("side", range(1, 9))
def test_pictures_are_turned_upright(side: int) -> None:
    upright = Image.new("RGB", (40, 20), "white")
    upright.paste("red", (0, 0, 20, 10))
    turns = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    turn = turns[side]
    stored = upright if turn is None else upright.transpose(Image.Transpose(turn))
    exif = Image.Exif()
    exif[ORIENTATION] = side

    made = transcode(saved(stored, "PNG", exif=exif), EXACT)

    assert (made.width, made.height) == (40, 20)
    np.testing.assert_array_equal(np.asarray(upright), np.asarray(opened(made)))


def test_a_profile_is_brought_to_srgb() -> None:
    lab = profile("LAB")
    swapped = bytearray(profile("sRGB"))
    swapped = swapped.replace(b"s\0R\0G\0B", b"o\0t\0h\0r")
    red, green = swapped.index(b"rXYZ"), swapped.index(b"gXYZ")
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    picture = Image.new("RGB", (64, 64), (200, 30, 30))

    turned = transcode(saved(picture, "PNG", icc_profile=bytes(swapped)), EXACT)
    ignored = transcode(saved(picture, "PNG", icc_profile=lab), EXACT)
    broken = transcode(saved(picture, "PNG", icc_profile=b"no profile"), EXACT)

    red_now, green_now, _ = np.asarray(opened(turned))[5, 5]
    assert green_now > red_now
    assert (200, 30, 30) == opened(ignored).getpixel((5, 5)) == opened(broken).getpixel((5, 5))


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65_535, 256 * 4).astype(np.uint16).reshape(4, 256)

    made = transcode(saved(Image.fromarray(ramp), "PNG"), EXACT)

    expected = (ramp / 257 + 0.5).astype(np.uint8)
    np.testing.assert_array_equal(expected, np.asarray(opened(made).convert("L")))


def test_cmyk_is_shown_in_colour() -> None:
    made = transcode(saved(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "TIFF"), EXACT)

    assert opened(made).getpixel((9, 9)) == (255, 0, 0)


def test_a_palette_keeps_its_transparency() -> None:
    picture = Image.new("P", (64, 64), 1)
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.paste(0, (0, 0, 32, 64))

    image = opened(transcode(saved(picture, "PNG", transparency=0, bits=8), EXACT))

    assert (image.getchannel("A").getpixel((3, 3)), image.getpixel((60, 3))) == (0, (0, 255, 0, 255))


def test_metadata_is_stripped() -> None:
    exif = Image.Exif()
    exif[0x010F] = "a secret camera"

    made = transcode(saved(photo(), "JPEG", exif=exif, comment="a secret", quality=98))

    assert made.content_type == "image/webp"
    assert b"secret" not in made.data
    assert set() == {"exif", "xmp", "icc_profile"} & opened(made).info.keys()


def test_drawings_are_lossless_as_that_is_smaller_and_photographs_are_not() -> None:
    drawing = Image.new("RGB", (400, 300), "white")
    drawing.paste("black", (100, 100, 300, 104))

    assert transcode(saved(drawing, "BMP")).lossless
    assert not transcode(saved(photo(), "BMP")).lossless


def test_a_width_is_not_exceeded_and_nothing_is_scaled_up() -> None:
    narrow = transcode(saved(photo(), "JPEG", quality=95), RenderOptions(max_width=50))
    same = transcode(saved(photo(), "JPEG", quality=95), RenderOptions(max_width=500))

    assert [(made.width, made.height) for made in (narrow, same)] == [(50, 31), (160, 100)]
    assert opened(narrow).size == (50, 31)


def test_a_side_beyond_webps_longest_is_scaled_down() -> None:
    made = transcode(saved(Image.new("RGB", (20_000, 40), "green"), "BMP"))

    assert (16_383, 33) == opened(made).size == (made.width, made.height)
