from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from services.transcoder.kept import without_metadata
from services.transcoder.sniff import Format

PICTURE = Image.effect_noise((40, 30), 90).convert("RGB")
SECRET = "a secret place"


def exif(side: int) -> Image.Exif:
    said = Image.Exif()
    said[0x010E] = SECRET
    said[0x0112] = side
    return said


def saved(kind: str, **options: object) -> bytes:
    out = BytesIO()
    PICTURE.save(out, kind, **options)
    return out.getvalue()


def upright(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(data))).convert("RGB"))


def texts() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("where", SECRET)
    return info


@pytest.mark.parametrize("side", [1, 6])
def test_a_jpeg_keeps_its_picture_and_which_side_is_up_alone(side: int) -> None:
    data = saved("JPEG", exif=exif(side), comment=SECRET, icc_profile=b"a profile", xmp=SECRET.encode())

    kept = without_metadata(data, Format.JPEG)

    assert SECRET.encode() not in kept
    assert Image.open(BytesIO(kept)).info["icc_profile"] == b"a profile"
    assert ("exif" in Image.open(BytesIO(kept)).info) == (side != 1)
    np.testing.assert_array_equal(upright(data), upright(kept))


def test_a_png_keeps_its_picture_and_profile() -> None:
    data = saved("PNG", pnginfo=texts(), exif=exif(1), icc_profile=b"a profile")

    kept = without_metadata(data, Format.PNG)

    assert SECRET.encode() not in kept
    assert Image.open(BytesIO(kept)).info["icc_profile"] == b"a profile"
    np.testing.assert_array_equal(upright(data), upright(kept))


def test_a_webp_keeps_its_picture_and_profile() -> None:
    data = saved("WEBP", exif=exif(1), xmp=SECRET.encode(), icc_profile=b"a profile")

    kept = without_metadata(data, Format.WEBP)

    assert SECRET.encode() not in kept
    assert Image.open(BytesIO(kept)).info.keys() & {"exif", "xmp", "icc_profile"} == {"icc_profile"}
    np.testing.assert_array_equal(upright(data), upright(kept))


def test_a_format_without_metadata_is_given_back() -> None:
    data = saved("BMP")

    assert without_metadata(data, Format.BMP) is data
