"""`halftone demo` shows a newcomer every kind of image that feeds have."""

import re
import urllib.request
from pathlib import Path

import pytest

from services.standalone import sample_site
from tests.live.commands import free_port, halftone, objects, running

pytestmark = pytest.mark.live


def test_demo_once_mirrors_the_sample_site_and_says_where_each_image_is(tmp_path: Path) -> None:
    ended = halftone("demo", "--once", "--port", str(free_port()), data=tmp_path)
    assert (ended.code, ended.out) == (0, ""), ended.err
    assert "7 articles, 6 images: 5 mirrored, 1 failed" in ended.err
    mirrored = re.findall(r"^    http://127\.0\.0\.1:\d+(/\S+)\n  → http://\S+/img/\S+\.webp$", ended.err, re.MULTILINE)
    assert set(mirrored) == set(sample_site.images()) - {"/images/placeholder.gif", "/favicon.png"}
    assert ended.err.endswith("without --once the page is left up to look at.\n")
    assert len(objects(tmp_path)) >= len(mirrored)


def test_demo_leaves_the_page_the_feed_and_the_record_up(tmp_path: Path) -> None:
    with running("demo", "--port", str(free_port()), data=tmp_path) as demo:
        assert demo.process.stderr is not None
        addresses: list[str] = []
        for line in demo.process.stderr:
            addresses += re.findall(r"^The .*: +(http://\S+)$", line)
            if line.startswith("Ctrl-C"):
                break
        assert len(addresses) == 3
        for address in addresses:
            with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - our own api
                assert answer.status == 200
