import msgspec
import pytest

from services.transcoder import RenderOptions, Rendition, Unrenderable
from services.transcoder.budget import quality_for, within_budget

MADE = Rendition(b"", "image/webp", 0, 0, 1, 0, 10**6, 75, lossless=False)


class Renderer:
    """Renders as many bytes as the curve says, times the pixels, and notes what it was asked for."""

    def __init__(self, bytes_at_75: int, width: int) -> None:
        self.asked: list[tuple[int, int]] = []
        self._bytes = bytes_at_75
        self._width = width

    def __call__(self, quality: int, width: int) -> Rendition:
        self.asked.append((quality, width))
        share = {75: 1.0, 60: 0.89, 45: 0.8, 30: 0.69, 15: 0.56}.get(quality, 0.56 + (quality - 15) / 60 * 0.44)
        size = int(self._bytes * share * (width / self._width) ** 2)
        return msgspec.structs.replace(MADE, data=bytes(size), width=width, quality=quality)


def test_what_fits_is_rendered_once() -> None:
    renderer = Renderer(900, 800)

    made = within_budget(renderer, 800, RenderOptions(budget=1000))

    assert renderer.asked == [(75, 800)]
    assert made.notes == ()


def test_quality_gives_way_first() -> None:
    renderer = Renderer(1100, 800)

    made = within_budget(renderer, 800, RenderOptions(budget=1000))

    assert len(renderer.asked) == 2
    assert 45 < renderer.asked[1][0] < 75
    assert renderer.asked[1][1] == 800
    assert made.notes == ("encoded again to fit into 1,000 bytes",)


def test_then_the_canvas_shrinks() -> None:
    renderer = Renderer(10_000, 800)

    made = within_budget(renderer, 800, RenderOptions(budget=1000))

    assert len(made.data) <= 1000
    assert made.quality == 15
    assert 200 < made.width < 400


def test_what_must_be_lossless_only_shrinks() -> None:
    def render(quality: int, width: int) -> Rendition:
        return msgspec.structs.replace(MADE, data=bytes(width * width), width=width, quality=quality, lossless=True)

    made = within_budget(render, 800, RenderOptions(budget=10_000, lossless=True))

    assert 80 < made.width <= 100


def test_what_fits_at_no_size_is_refused() -> None:
    with pytest.raises(Unrenderable, match="no rendition of it fits into 10 bytes"):
        within_budget(Renderer(100_000, 800), 800, RenderOptions(budget=10))


@pytest.mark.parametrize(("share", "quality"), [(1.0, 75), (0.89, 60), (0.8, 45), (0.69, 30), (0.5, 15)])
def test_the_curve_gives_the_quality_for_a_share_of_the_bytes(share: float, quality: int) -> None:
    assert quality_for(share, 75) == quality
