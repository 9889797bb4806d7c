"""Bad input ends in one clear line and exit code 1; large input in bounded memory."""

import contextlib
import re
import shutil
import socket
import subprocess
import threading
import time
from asyncio import StreamWriter
from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest

from services.standalone.broker import free_port
from services.standalone.once import FetchFailed, ask
from services.standalone.system import Options
from services.standalone.system import running as running_system
from tests.live.commands import HALFTONE, Ended, halftone, running, until
from tests.live.conftest import arguments, fetch
from tests.servers import Site

pytestmark = pytest.mark.live
FEED = "/feed.xml"


def the_line(ended: Ended) -> str:
    """Return the one line on stderr of a command that failed."""
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1), ended.err
    return ended.err.strip()


@pytest.fixture
def taken() -> Generator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def zeros(writer: StreamWriter) -> None:
    """Answer with 100 MB of zeros."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/rss+xml\r\nContent-Length: 100000000\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(1_000):
            writer.write(bytes(100_000))
            await writer.drain()


async def test_each_feed_that_cannot_be_had_is_told_in_one_line(site: Site, tmp_path: Path) -> None:
    site.page("/broken", status="500 Internal Server Error")
    site.page("/words", b"just words", Content_Type="text/plain")
    site.page("/page", b"<!doctype html><html><title>A page</title><p>without a feed</html>", Content_Type="text/html")
    site.pages["/zeros"] = lambda _: zeros
    options = Options(data=tmp_path, port=free_port(), allow_hosts=f"127.0.0.1:{site.port}", quiet=True)
    async with running_system(options) as system:
        for url, line in {
            "feed.xml": "'feed.xml' is no URL: give the feed's whole address",
            "http://no-such-host.invalid/": "no such host: no-such-host.invalid",
            site.url("/broken"): f"{site.url('/broken')} answered HTTP 500 Internal Server Error",
            site.url("/words"): "is not a feed: it is text",
            site.url("/page"): "is not a feed: it is a web page that names no feed",
            site.url("/zeros"): "is larger than 15 MB",
        }.items():
            with pytest.raises(FetchFailed) as failed:
                await ask(system, url)
            assert line in str(failed.value)
            assert "\n" not in str(failed.value)


def test_a_host_that_is_not_public_is_refused_with_what_to_do(site: Site, tmp_path: Path) -> None:
    said = the_line(halftone("fetch", site.url(FEED), data=tmp_path))
    assert "not on the public Internet" in said
    assert f"--allow-host 127.0.0.1:{site.port}" in said
    assert site.requests == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("nonsense",), 'Unknown command "nonsense"'),
        (("fetch",), "requires an argument"),
        (("fetch", "http://site.example/", "--allow-host", "nonsense"), "--allow-host: 'nonsense' is not HOST:PORT"),
        (("fetch", "http://site.example/", "--data", "/proc/nowhere"), "cannot write the data directory /proc/nowhere"),
        (("up", "--port", "99999"), "65535"),
    ],
)
def test_wrong_arguments_are_told_in_one_line_at_once(arguments: tuple[str, ...], line: str) -> None:
    assert line in the_line(halftone(*arguments))


def test_a_data_directory_below_a_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = the_line(halftone("fetch", "http://site.example/", data=tmp_path / "file" / "data"))
    assert said == f"halftone: cannot write the data directory {tmp_path}/file/data: Not a directory"


def test_a_source_is_not_transcoded_over_itself(tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    source.write_bytes(b"precious")
    assert "would be written over it" in the_line(halftone("transcode", str(source), str(source)))
    assert source.read_bytes() == b"precious"


def test_serving_others_without_a_token_is_refused_in_one_line_at_once(tmp_path: Path) -> None:
    said = the_line(halftone("up", "--host", "0.0.0.0", "--port", str(free_port()), data=tmp_path))
    assert "0.0.0.0 (--host, HALFTONE_HTTP_HOST) is open to others and there is no token" in said
    assert not (tmp_path / "broker").exists()  # nothing was started


def test_a_source_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "there.webp").touch()
    said = the_line(halftone("transcode", str(tmp_path / "missing.png"), str(tmp_path / "there.webp")))
    assert said == f"halftone: {tmp_path}/missing.png: No such file or directory"


def test_an_address_of_another_machine_is_told_in_one_line_at_once(tmp_path: Path) -> None:
    said = the_line(halftone("up", "--host", "192.0.2.1", data=tmp_path))
    assert said.endswith("choose another with --host")


@pytest.mark.parametrize("command", [("up",), ("demo", "--once")])
def test_a_port_in_use_is_told_in_one_line_at_once(command: tuple[str, ...], taken: int, tmp_path: Path) -> None:
    said = the_line(halftone(*command, "--port", str(taken), data=tmp_path))
    assert said == (
        f"halftone: cannot listen on 127.0.0.1:{taken}: another program listens there; choose another with --port"
    )


def test_a_data_directory_in_use_is_told_in_one_line(site: Site, tmp_path: Path) -> None:
    with running(*arguments(site), data=tmp_path) as first:
        until(lambda: first.find("broker"))
        said = the_line(fetch(site, tmp_path))
        assert said == (
            f"halftone: the data directory {tmp_path} is in use by another halftone: stop that one, or use --data"
        )


def test_a_missing_broker_is_told_in_one_line(tmp_path: Path) -> None:
    """In a virtual environment that has all but the broker, and an empty PATH."""
    lonely = tmp_path / "bin"
    lonely.mkdir()
    (lonely / "python").symlink_to(Path(HALFTONE).with_name("python"))
    shutil.copy(Path(HALFTONE).parents[1] / "pyvenv.cfg", tmp_path)
    (tmp_path / "lib").symlink_to(Path(HALFTONE).parents[1] / "lib")
    ended = subprocess.run(
        [lonely / "python", "-c", "from services.standalone.cli import main; main()", *arguments_of(tmp_path)],
        env={"PATH": str(lonely)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "halftone: nats-server is missing: install halftone with its 'standalone' extra\n"


def arguments_of(tmp_path: Path) -> list[str]:
    return ["fetch", "http://site.example/", "--data", str(tmp_path / "data")]


def memory(pid: int) -> int:
    """Return the most memory that the process has had, MB."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
        return int(found[1]) // 1024 if found else 0
    return 0


def test_a_feed_of_twenty_thousand_entries_is_taken_in_whole_in_bounded_memory(site: Site, tmp_path: Path) -> None:
    entry = (
        "<item><title>Entry {0}</title><link>http://s.example/{0}</link><description>Words of {0}</description></item>"
    )
    entries = "".join(entry.format(number) for number in range(20_000))
    site.page(FEED, f"<rss version='2.0'><channel><title>Long</title>{entries}</channel></rss>".encode())
    most: dict[str, int] = {}
    with running(*arguments(site), data=tmp_path) as command:
        ended: list[Ended] = []
        waiting = threading.Thread(target=lambda: ended.append(command.end()))
        waiting.start()
        while waiting.is_alive():
            for pid, line in command.alive().items():
                most[line] = max(memory(pid), most.get(line, 0))
            time.sleep(1)
    assert ended[0].code == 0, ended[0].err
    assert len(msgspec.json.decode(ended[0].out)["noPictureArticleList"]) == 20_000
    assert max(most.values()) < 600, most
