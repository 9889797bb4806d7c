"""The uploader's story over both kinds of bus, with local accounts."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.uploader.actor import Running, start
from services.uploader.settings import UploaderSettings
from services.uploader.uploader import Uploader
from shared.bus import Bus, NoReply
from shared.messages import FeedDue, Upload, Uploaded, UploadRefused, UploadReply, decode

WEBP = b"RIFF\x04\0\0\0WEBP" + bytes(200)


class Story:
    """A running uploader, and whoever asks it."""

    def __init__(self, bus: Bus, folder: Path, running: Running) -> None:
        self.bus = bus
        self.folder = folder
        self.running = running

    async def ask(self, data: bytes = WEBP, day: str = "2020/09/06") -> UploadReply:
        request = Upload(image="i", data=data, content_type="image/webp", day=day)
        reply = decode(await self.bus.request(request, timeout=10))
        assert isinstance(reply, Uploaded | UploadRefused)
        return reply

    async def uploaded(self, data: bytes = WEBP, day: str = "2020/09/06") -> Uploaded:
        reply = await self.ask(data, day)
        assert isinstance(reply, Uploaded)
        return reply

    def objects(self) -> list[Path]:
        return sorted(self.folder.rglob("*.webp"))


@pytest.fixture
async def story(bus: Bus, tmp_path: Path) -> AsyncIterator[Story]:
    folder = tmp_path / "objects-of-the-test"
    running = await start(bus, UploaderSettings(data=folder, public_url="http://cdn.example"))
    yield Story(bus, folder, running)
    await running.drain()
    await running.abort()


async def test_bytes_are_stored_and_their_public_url_is_the_reply(story: Story) -> None:
    reply = await story.uploaded()
    [stored] = story.objects()
    assert stored.read_bytes() == WEBP
    assert (reply.created, reply.http_code, reply.failed_accounts) == (True, 201, ())
    assert reply.url.startswith("http://cdn.example/")
    assert reply.url.endswith(f"/2020/09/06/{stored.name}")
    assert reply.account in stored.parts


async def test_the_same_bytes_again_get_the_same_url_on_any_day(story: Story) -> None:
    first = await story.uploaded()
    second = await story.uploaded(day="2020/09/07")
    assert (second.url, second.account) == (first.url, first.account)
    assert (second.created, second.http_code, len(story.objects())) == (False, 200, 1)


async def test_the_same_bytes_at_the_same_time_are_stored_once(story: Story) -> None:
    replies = await asyncio.gather(*(story.uploaded() for _ in range(8)))
    assert len({reply.url for reply in replies}) == 1
    assert (sum(reply.created for reply in replies), len(story.objects())) == (1, 1)


async def test_two_uploaders_share_what_they_know(story: Story) -> None:
    other = await start(story.bus, UploaderSettings(data=story.folder, public_url="http://cdn.example"))
    replies = [await story.uploaded(WEBP + bytes([number % 3])) for number in range(9)]
    await other.drain()
    await other.abort()
    assert (len({reply.url for reply in replies}), len(story.objects())) == (3, 3)


async def test_what_is_no_upload_is_refused_for_good(story: Story) -> None:
    for data in (b"", b"\xff\xff", b'{"type":"upload"', b'{"type":"nonsense"}'):
        refused = decode(await story.running.answer(data))
        assert isinstance(refused, UploadRefused)
        assert (refused.final, refused.reason.startswith("not an upload: ")) == (True, True)


async def test_another_message_is_refused_by_its_name(story: Story) -> None:
    class Misplaced(FeedDue, frozen=True, kw_only=True, tag="feed.due"):
        @property
        def subject(self) -> str:
            return "rpc.upload"

    reply = decode(await story.bus.request(Misplaced(feed=7), timeout=5))
    assert reply == UploadRefused(reason="not an upload but FeedDue", final=True)


async def test_a_day_that_is_none_is_refused_for_good(story: Story) -> None:
    refused = await story.ask(day="../../etc")
    assert isinstance(refused, UploadRefused)
    assert (refused.final, story.objects()) == (True, [])


async def test_accounts_that_take_nothing_refuse_for_now_and_say_when_to_come_again(bus: Bus, tmp_path: Path) -> None:
    folder = tmp_path / "blocked"
    folder.write_text("a file where the accounts' directory should be")
    running = await start(bus, UploaderSettings(data=folder))
    refused = await Story(bus, folder, running).ask()
    await running.drain()
    await running.abort()
    assert isinstance(refused, UploadRefused)
    assert refused.final is False
    assert refused.retry_after is not None
    assert len(refused.failed_accounts) > 0


async def test_a_defect_is_a_refusal_for_now_and_not_silence(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    async def break_down(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Uploader, "upload", break_down)
    refused = await story.ask()
    assert isinstance(refused, UploadRefused)
    assert (refused.final, refused.reason) == (False, "the uploader failed: ZeroDivisionError")


async def test_an_uploader_that_has_drained_answers_nobody(story: Story) -> None:
    await story.running.drain()
    with pytest.raises(NoReply):
        await story.bus.request(Upload(image="i", data=WEBP, content_type="image/webp", day=""), timeout=0.3)


async def test_an_uploader_whose_accounts_can_take_objects_is_ready(story: Story) -> None:
    await story.uploaded()
    assert story.running.not_ready() == ""
