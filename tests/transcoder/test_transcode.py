import pickle
import subprocess
import sys
from io import BytesIO

import pytest
from PIL import Image, PngImagePlugin

from services.transcoder import Limits, RenderOptions, Rendition, Unrenderable, transcode
from shared.errors import Reject

NO_FILES = """
import sys
from services.transcoder import RenderOptions, Unrenderable, transcode
from tests.transcoder.bombs import broken_files
data = open(sys.argv[1], "rb").read()
broken = [file for file in broken_files().values() if isinstance(file, bytes)]
def refuse(event, said):
    if event in {"open", "import", "os.fork", "subprocess.Popen"} or event.startswith("socket."):
        print(event, said, flush=True)
sys.addaudithook(refuse)
transcode(data, RenderOptions(max_width=30))
for file in broken:
    try:
        transcode(file)
    except Unrenderable:
        pass
"""


def png(**options: object) -> bytes:
    out = BytesIO()
    Image.effect_noise((64, 48), 50).save(out, "PNG", **options)
    return out.getvalue()


def test_a_rendition_travels_between_processes() -> None:
    made = transcode(png())

    travelled = pickle.loads(pickle.dumps(made))  # noqa: S301 - our own

    assert travelled == made
    assert isinstance(travelled, Rendition)
    assert pickle.loads(pickle.dumps(RenderOptions(quality=3))) == RenderOptions(quality=3)  # noqa: S301


def test_a_refusal_travels_between_processes_and_is_final() -> None:
    travelled = pickle.loads(pickle.dumps(Unrenderable("why")))  # noqa: S301 - our own

    assert (str(travelled), isinstance(travelled, Reject)) == ("why", True)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "there are no bytes"),
        (b"\r\n <!DOCTYPE HTML><html>", "it is a web page, not an image"),
        (b"<html><svg></svg>", "it is a web page, not an image"),
        (b"%PDF-1.7", "it is a PDF, not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "its first bytes are those of no image format that is rendered"),
        (b"8BPS\0\1", "its first bytes are those of no image format that is rendered"),
    ],
)
def test_only_listed_formats_are_opened(data: bytes, reason: str) -> None:
    with pytest.raises(Unrenderable, match=reason):
        transcode(data)


def test_too_large_a_file_is_refused() -> None:
    with pytest.raises(Unrenderable, match="it has 101 bytes; 100 are allowed"):
        transcode(bytes(101), RenderOptions(limits=Limits(source_bytes=100)))


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(Unrenderable, match="it has 64 x 48 pixels; 3,071 are allowed in all"):
        transcode(png(), RenderOptions(limits=Limits(frame_pixels=3071)))


def test_the_source_is_kept_without_its_metadata_where_no_webp_is_smaller() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("where", "a secret place")
    out = BytesIO()
    Image.new("1", (1, 1)).save(out, "PNG", pnginfo=info)

    made = transcode(out.getvalue())

    assert (made.content_type, made.lossless, made.width) == ("image/webp", True, 1)
    tiny = transcode(transcode(out.getvalue()).data)
    assert (tiny.content_type, tiny.notes) == ("image/webp", ("kept the source's image: no WebP of it is smaller",))


def test_a_jpeg_of_low_quality_is_kept() -> None:
    out = BytesIO()
    Image.effect_noise((200, 200), 120).save(out, "JPEG", quality=8)

    made = transcode(out.getvalue(), RenderOptions(quality=95))

    assert (made.content_type, made.data) == ("image/jpeg", out.getvalue())


def test_a_budget_is_kept() -> None:
    made = transcode(png(), RenderOptions(budget=700))

    assert made.rendition_bytes <= 700
    assert "encoded again to fit into 700 bytes" in made.notes


def test_long_texts_in_a_png_do_not_matter() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "a" * 5_000_000, zip=True)

    assert transcode(png(pnginfo=info)).width == 64


def test_once_imported_it_opens_no_file_imports_nothing_and_starts_no_process() -> None:
    out = BytesIO()
    pages = [Image.effect_noise((64, 48), spread).convert("RGB") for spread in (20, 40, 60)]
    pages[0].save(out, "AVIF", save_all=True, append_images=pages[1:])

    child = subprocess.run(
        [sys.executable, "-c", NO_FILES, "/dev/stdin"], input=out.getvalue(), capture_output=True, check=False
    )

    assert (child.returncode, child.stdout.decode()) == (0, "")
