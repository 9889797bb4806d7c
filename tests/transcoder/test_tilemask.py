from io import BytesIO
from struct import pack

import numpy as np
import pytest
from PIL import Image

from services.transcoder.tilemask import tile_mask
from services.transcoder.webp import bitstream, chunk

SIDES = [(1, 1), (8, 16), (9, 17), (33, 48), (160, 16), (1000, 300), (4500, 40), (16_383, 33)]


@pytest.mark.parametrize("density", [0.02, 0.5, 0.95])
@pytest.mark.parametrize(("width", "height"), SIDES)
def test_libwebp_reads_the_mask_that_was_written(width: int, height: int, density: float) -> None:
    tiles = np.random.default_rng(width).random((-(-height // 16), -(-width // 16))) < density
    tiles[1::3] = tiles[:-1:3]
    out = BytesIO()
    Image.new("RGB", (width, height), "red").save(out, "WEBP")
    size = pack("<I", width - 1)[:3] + pack("<I", height - 1)[:3]
    body = chunk(b"VP8X", b"\x10\0\0\0" + size) + tile_mask(tiles, width, height) + bitstream(out.getvalue())

    with Image.open(BytesIO(pack("<4sI4s", b"RIFF", len(body) + 4, b"WEBP") + body)) as image:
        read = np.asarray(image.getchannel("A"))

    expected = tiles.repeat(16, 0).repeat(16, 1)[:height, :width] * np.uint8(255)
    np.testing.assert_array_equal(expected, read)


def test_a_plain_mask_is_small() -> None:
    assert len(tile_mask(np.ones((50, 90), np.bool_), 1440, 800)) < 120
