"""`halftone accounts` and `halftone accounts check` beside a running system, found through its data directory."""

import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from services.standalone.accounts import Unwell, check, show_accounts
from services.uploader.accounts import load_accounts
from services.uploader.checks import check_accounts
from services.uploader.health import failed
from services.uploader.uploader import Uploader
from shared.nats import NatsBus
from shared.topology import ACCOUNTS, RENDITIONS
from tests.uploader.test_checks import Quiet

LOCAL = [f"local-{number}" for number in (1, 2, 3, 4)]


@pytest.fixture
def data(nats_bus: NatsBus, tmp_path: Path) -> Path:
    """The data directory of a running broker."""
    assert nats_bus.connected
    return tmp_path / "data"


@pytest.fixture
async def uploader(nats_bus: NatsBus, data: Path) -> AsyncIterator[Uploader]:
    """A replica that runs already."""
    accounts = load_accounts(None, data=data, public_url="http://127.0.0.1")
    running = Uploader(accounts, renditions=nats_bus.bucket(RENDITIONS), healths=nats_bus.bucket(ACCOUNTS))
    yield running
    await running.close()


@pytest.fixture
def cdn(data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever serves the objects, where `HALFTONE_PUBLIC_URL` says."""
    (data / "img").symlink_to(data / "objects")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(data))) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        monkeypatch.setenv("HALFTONE_PUBLIC_URL", f"http://127.0.0.1:{server.server_address[1]}")
        yield
        server.shutdown()


@pytest.fixture
def in_the_way(data: Path) -> str:
    """An account whose directory is a file."""
    (data / "objects").mkdir()
    (data / "objects" / "local-2").write_text("in the way")
    return "local-2"


async def test_each_account_has_a_line_with_what_the_running_uploaders_know(
    uploader: Uploader, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    placed = await uploader.upload(b"x" * 1500, "image/webp", "2026/11/25")
    await uploader.healths.flush()
    await show_accounts(data)
    heading, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert heading == ["account", "store", "weight", "objects", "used", "capacity", "writes", "left", "health"]
    assert [row[0] for row in rows] == LOCAL
    row = next(row for row in rows if row[0] == placed.account)
    assert row[1:] == ["local", "1", "1", "1.5", "kB", "-", "-", "well"]


async def test_an_open_breaker_is_shown_with_its_reason(
    uploader: Uploader, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        await uploader.healths.change("local-3", lambda health: failed(health, time.time(), "[the] disk is gone"))
    await show_accounts(data)
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("local-3"))
    assert "breaker open for" in line
    assert line.endswith("[the] disk is gone")


@pytest.mark.usefixtures("cdn")
async def test_sound_accounts_pass_the_check(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await check(data)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == LOCAL
    assert {line.rpartition("  ")[2] for line in lines} == {"ok"}


@pytest.mark.usefixtures("cdn")
async def test_an_account_that_fails_the_check_is_told_in_a_line_and_counted(
    data: Path, in_the_way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Unwell, match="1 of 4 storage accounts failed"):
        await check(data)
    failed = [line for line in capsys.readouterr().out.splitlines() if not line.endswith("ok")]
    assert len(failed) == 1
    assert failed[0].startswith(in_the_way)
    assert "FAIL  check: " in failed[0]


async def test_accounts_at_an_address_that_nobody_serves_name_the_setting(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALFTONE_PUBLIC_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("services.standalone.accounts.check_accounts", partial(check_accounts, patience=0))
    with pytest.raises(Unwell, match=r"4 of 4 .+ HALFTONE_PUBLIC_URL: is http://127\.0\.0\.1:1 the api's address"):
        await check(data)
