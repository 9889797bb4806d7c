"""The transcoder's story on a bus in memory: a real site, real renditions, an uploader that does as it is told."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from io import BytesIO

import msgspec
import pytest
from PIL import Image

from services.transcoder import storage
from services.transcoder.actor import RENDER, Transcoder, start
from services.transcoder.rendition import Rendition
from services.transcoder.settings import TranscoderSettings
from shared.actor import Envelope
from shared.errors import Reject, Retry, Unavailable
from shared.memory import MemoryBus
from shared.messages import (
    Attempt,
    ImageFailed,
    ImageJob,
    ImageMirrored,
    Upload,
    Uploaded,
    UploadRefused,
    UploadReply,
    decode,
    encode,
)
from shared.sandbox import Sandbox
from shared.topology import API, IMAGES, RPC_UPLOAD, UPLOADERS
from shared.web import Web
from tests.servers import Site, running_site

PUBLISHED = 1_600_000_000.0  # 2020-09-13
STORED = Uploaded(url="http://cdn/x.webp", account="a", http_code=201, created=True, failed_accounts=("b",))
SETTINGS = TranscoderSettings(instance="one", gone_seconds=60)


def png(width: int = 20, height: int = 10) -> bytes:
    out = BytesIO()
    Image.new("RGB", (width, height), "teal").save(out, "PNG")
    return out.getvalue()


class Story:
    """A transcoder, the site of its images, and the uploader that it asks."""

    def __init__(self, bus: MemoryBus, site: Site, web: Web, renderer: Sandbox[Rendition]) -> None:
        self.bus = bus
        self.site = site
        self.web = web
        self.renderer = renderer
        self.transcoder = Transcoder(bus, web, renderer, SETTINGS)
        self.uploads: list[Upload] = []
        self.reply: UploadReply = STORED

    async def answer(self, data: bytes) -> bytes:
        upload = decode(data)
        assert isinstance(upload, Upload)
        self.uploads.append(upload)
        return encode(self.reply)

    async def open_uploader(self) -> None:
        await self.bus.serve(RPC_UPLOAD, UPLOADERS, self.answer, slots=4)

    def job(self, path: str = "/a.png", *, again: bool = False) -> ImageJob:
        return ImageJob(image="1" * 32, source=self.site.url(path), referer="http://blog.example/post", again=again)

    async def settle(self, job: ImageJob, sequence: int = 5, tries: int = 1) -> ImageMirrored | ImageFailed:
        """How the job ends, given up where it is rejected; raises `Retry` where it is to come again."""
        envelope = Envelope(sequence, PUBLISHED, tries)
        try:
            [[message]] = [list(batch) async for batch in self.transcoder.handle(job, envelope)]
        except Reject as error:
            [message] = self.transcoder.settle_failed(job, envelope, error)
        assert isinstance(message, ImageMirrored | ImageFailed)
        return message

    async def mirrored(self, job: ImageJob, sequence: int = 5) -> ImageMirrored:
        message = await self.settle(job, sequence)
        assert isinstance(message, ImageMirrored)
        return message

    async def failed(self, job: ImageJob, sequence: int = 5) -> ImageFailed:
        message = await self.settle(job, sequence)
        assert isinstance(message, ImageFailed)
        return message


@pytest.fixture(scope="module")
def renderer() -> Iterator[Sandbox[Rendition]]:
    """One sandbox for all stories: they run one after the other."""
    sandbox = Sandbox(RENDER, Rendition, slots=1, seconds=20, jobs_per_child=1000)
    yield sandbox
    asyncio.run(sandbox.close())


@pytest.fixture
async def story(renderer: Sandbox[Rendition]) -> AsyncIterator[Story]:
    bus = MemoryBus()
    async with running_site() as site, Web(frozenset({site.origin})) as web:
        told = Story(bus, site, web, renderer)
        await told.open_uploader()
        yield told
    await bus.close()


async def test_an_image_is_fetched_rendered_stored_and_told(story: Story) -> None:
    source = png()
    story.site.page("/a.png", source)
    told = await story.mirrored(story.job())
    [upload] = story.uploads
    assert (upload.image, upload.content_type, upload.day) == ("1" * 32, "image/webp", "2020/09/13")
    with Image.open(BytesIO(upload.data)) as rendition:
        assert (rendition.format, rendition.size) == ("WEBP", (20, 10))
    assert (told.url, told.account, told.http_code, told.created) == (STORED.url, "a", 201, True)
    assert (told.width, told.height, told.frames) == (20, 10, 1)
    assert (told.source_bytes, told.rendition_bytes) == (len(source), len(upload.data))
    assert (told.attempts, told.failed_accounts) == ((Attempt(way="no referer", status=200),), ("b",))
    assert (told.transcoder, told.referer, told.job, told.known) == ("one", "http://blog.example/post", 5, False)
    assert abs(told.settled_ms / 1000 - time.time()) < 10
    assert told.total_ms >= told.download_ms + told.convert_ms + told.upload_ms - 3


async def test_an_image_mirrored_before_is_known_without_a_download(story: Story) -> None:
    story.site.page("/a.png", png())
    first = await story.mirrored(story.job(), sequence=5)
    again = await story.mirrored(story.job(), sequence=6)
    assert again == msgspec.structs.replace(first, job=6, known=True)
    assert (len(story.site.requests), len(story.uploads)) == (1, 1)


async def test_a_job_delivered_again_after_it_was_done_says_the_same(story: Story) -> None:
    story.site.page("/a.png", png())
    first = await story.mirrored(story.job(), sequence=5)
    again = await story.mirrored(story.job(), sequence=5)
    assert (again, again.message_id) == (first, first.message_id)
    assert len(story.site.requests) == 1


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone"])
async def test_an_image_that_is_gone_is_not_asked_for_again_for_a_while(story: Story, status: str) -> None:
    story.site.page("/a.png", status=status)
    first = await story.failed(story.job(), sequence=5)
    second = await story.failed(story.job(), sequence=6)
    assert (first.job, second) == (5, msgspec.structs.replace(first, job=6))
    assert len(story.site.requests) == 1
    assert first.reason.endswith(f"HTTP {status[:3]}")


async def test_who_asks_for_a_gone_image_anew_has_it_tried(story: Story) -> None:
    story.site.page("/a.png", status="404 Not Found")
    await story.failed(story.job(), sequence=5)
    story.site.page("/a.png", png())
    assert (await story.mirrored(story.job(again=True), sequence=6)).known is False


async def test_what_was_gone_long_ago_is_asked_for_again(story: Story) -> None:
    gone = ImageFailed(image="1" * 32, source="", reason="gone", settled_ms=(round(time.time()) - 61) * 1000)
    await story.bus.bucket(IMAGES).put("1" * 32, encode(gone))
    story.site.page("/a.png", png())
    assert (await story.mirrored(story.job())).known is False


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"no", "403 Forbidden", "answered HTTP 403"),
        (b"<html>", "200 OK", "it is a web page, not an image"),
        (png()[:50], "200 OK", ""),
    ],
)
async def test_what_cannot_be_mirrored_is_told_with_its_reason_and_tried_next_time(
    story: Story, body: bytes, status: str, reason: str
) -> None:
    story.site.page("/a.png", body, status=status)
    told = await story.failed(story.job())
    assert reason in told.reason
    assert told.attempts[-1].reason != ""
    assert (told.transcoder, told.job, told.source) == ("one", 5, story.site.url("/a.png"))
    story.site.page("/a.png", png())
    assert (await story.mirrored(story.job(), sequence=6)).known is False


async def test_a_render_that_was_killed_settles_as_failed(story: Story) -> None:
    story.site.page("/a.png", png(1500, 1500))
    impatient = Sandbox(RENDER, Rendition, slots=1, seconds=0.0001)
    story.transcoder = Transcoder(story.bus, story.web, impatient, SETTINGS)
    told = await story.failed(story.job())
    await impatient.close()
    assert told.reason.startswith("it took longer than")
    assert (told.attempts[-1].status, told.attempts[-1].reason) == (200, told.reason)
    assert (told.source_bytes, story.uploads) == (len(png(1500, 1500)), [])


async def test_a_host_that_wants_to_be_left_alone_has_the_job_come_again(story: Story) -> None:
    story.site.page("/a.png", status="429 Too Many Requests", Retry_After="9")
    job = story.job()
    with pytest.raises(Retry) as caught:
        await story.settle(job)
    assert caught.value.after is not None
    assert caught.value.after >= 9
    [told] = story.transcoder.settle_failed(job, Envelope(5, PUBLISHED, 5), caught.value)
    assert isinstance(told, ImageFailed)
    assert told.reason.endswith("HTTP 429 (given up after 5 tries)")
    assert told.attempts == (Attempt(way="no referer", status=429, reason=told.attempts[0].reason),)


async def test_an_uploader_that_is_away_is_waited_for(story: Story) -> None:
    story.bus = MemoryBus()
    story.transcoder = Transcoder(story.bus, story.web, story.renderer, SETTINGS)
    story.site.page("/a.png", png())
    settling = asyncio.create_task(story.mirrored(story.job()))
    await asyncio.sleep(0.5)
    assert not settling.done()
    await story.open_uploader()
    assert (await asyncio.wait_for(settling, 5)).url == STORED.url
    assert len(story.site.requests) == 1


async def test_an_uploader_that_stays_away_has_the_job_come_again(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PATIENCE", 0.3)
    story.transcoder = Transcoder(MemoryBus(), story.web, story.renderer, SETTINGS)
    story.site.page("/a.png", png())
    with pytest.raises(Unavailable, match="no uploader answers"):
        await story.settle(story.job())


async def test_no_image_is_fetched_while_nobody_can_store_one(story: Story) -> None:
    story.reply = UploadRefused(reason="all full", final=False, unavailable=True, retry_after=30.0)
    story.site.page("/a.png", png())
    for _ in range(2):
        with pytest.raises(Unavailable, match="all full") as caught:
            await story.settle(story.job())
        assert 29 < (caught.value.after or 0) <= 30
    assert len(story.site.requests) == 1


async def test_a_refusal_for_now_comes_again_when_the_uploader_says(story: Story) -> None:
    story.reply = UploadRefused(reason="all full", final=False, retry_after=12.5, failed_accounts=("a", "b"))
    story.site.page("/a.png", png())
    job = story.job()
    with pytest.raises(Retry, match="all full") as caught:
        await story.settle(job)
    assert caught.value.after == 12.5
    [told] = story.transcoder.settle_failed(job, Envelope(5, PUBLISHED, 5), caught.value)
    assert isinstance(told, ImageFailed)
    assert told.failed_accounts == ("a", "b")


async def test_a_refusal_for_good_settles_the_image(story: Story) -> None:
    story.reply = UploadRefused(reason="never", final=True)
    story.site.page("/a.png", png())
    assert (await story.failed(story.job())).reason == "never"


async def test_a_started_transcoder_mirrors_what_is_wanted_and_drains() -> None:
    bus = MemoryBus()
    async with running_site() as site, Web(frozenset({site.origin})) as web:
        site.page("/a.png", png())
        settings = TranscoderSettings(allow_hosts=f"127.0.0.1:{site.port}", workers=1)
        running = await start(bus, settings)
        story = Story(bus, site, web, Sandbox(RENDER, Rendition, slots=1, seconds=1))
        await story.open_uploader()
        await bus.publish(story.job())
        delivery = await asyncio.wait_for(bus.mailbox(API).receive(), 20)
        await running.drain()
        await running.abort()
    assert delivery is not None
    assert delivery.subject == "evt.image.mirrored"
    assert running.not_ready() == ""
