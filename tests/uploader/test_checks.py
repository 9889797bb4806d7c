"""The end-to-end check of accounts, and their table."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from services.uploader.accounts import Accounts, load_accounts
from services.uploader.accounts_table import AccountRow, accounts_table
from services.uploader.checks import check_accounts
from services.uploader.uploader import Unstored, Uploader
from shared.memory import MemoryBus
from shared.topology import ACCOUNTS, RENDITIONS


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def public_url(tmp_path: Path) -> Iterator[str]:
    """Serve the objects as the api or a CDN would."""
    (tmp_path / "objects").mkdir()
    (tmp_path / "img").symlink_to(tmp_path / "objects")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def accounts_at(tmp_path: Path, public_url: str) -> Accounts:
    return load_accounts(None, data=tmp_path, public_url=public_url)


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]


async def test_sound_accounts_pass_and_keep_no_probe(tmp_path: Path, public_url: str) -> None:
    checked = await check_accounts(accounts_at(tmp_path, public_url))
    assert [(each.account, each.store, each.failure) for each in checked] == [
        (f"local-{number}", "local", "") for number in (1, 2, 3, 4)
    ]
    assert files(tmp_path) == []


async def test_a_public_url_that_does_not_answer_is_named(tmp_path: Path) -> None:
    checked = await check_accounts(accounts_at(tmp_path, "http://127.0.0.1:1"), patience=0)
    assert checked[0].failure.startswith("public URL: http://127.0.0.1:1/img/local-1/1970/01/01/")
    assert checked[0].failure.endswith("no answer (ConnectError)")
    assert files(tmp_path) == []


async def test_a_public_url_that_leads_elsewhere_is_named(tmp_path: Path, public_url: str) -> None:
    checked = await check_accounts(accounts_at(tmp_path, f"{public_url}/elsewhere"), patience=0)
    assert checked[0].failure.endswith("HTTP 404")


async def test_an_account_that_cannot_be_written_is_one_line_and_the_others_pass(
    tmp_path: Path, public_url: str
) -> None:
    (tmp_path / "objects" / "local-2").write_text("in the way")
    failures = [each.failure for each in await check_accounts(accounts_at(tmp_path, public_url))]
    assert [bool(failure) for failure in failures] == [False, True, False, False]
    assert failures[1].startswith("check: ")
    assert "\n" not in failures[1]


async def test_the_table_shows_use_and_what_is_in_the_way(tmp_path: Path) -> None:
    accounts = accounts_at(tmp_path, "http://127.0.0.1")
    bus = MemoryBus()
    uploader = Uploader(accounts, renditions=bus.bucket(RENDITIONS), healths=bus.bucket(ACCOUNTS))
    placed = await uploader.upload(b"rendition", "image/webp", "2026/11/25")
    row = next(row for row in await accounts_table(accounts, uploader.healths) if row.name == placed.account)
    assert row == AccountRow(
        name=placed.account,
        store="local",
        weight=1.0,
        objects=1,
        bytes=9,
        capacity=None,
        writes_left=None,
        breaker="closed",
        obstacle="",
    )


@pytest.fixture
def all_blocked(tmp_path: Path) -> Path:
    for number in (1, 2, 3, 4):
        (tmp_path / "objects").mkdir(exist_ok=True)
        (tmp_path / "objects" / f"local-{number}").write_text("in the way")
    return tmp_path


async def test_an_open_breaker_is_in_the_table(all_blocked: Path) -> None:
    bus = MemoryBus()
    accounts = accounts_at(all_blocked, "http://127.0.0.1")
    uploader = Uploader(accounts, renditions=bus.bucket(RENDITIONS), healths=bus.bucket(ACCOUNTS))
    for _ in range(3):
        with pytest.raises(Unstored):
            await uploader.upload(b"rendition", "image/webp", "2026/11/25")
    rows = await accounts_table(accounts, uploader.healths)
    assert {row.breaker for row in rows} == {"open"}
    assert "breaker open for" in rows[0].obstacle
