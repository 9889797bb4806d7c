"""The sandbox: jobs get done, hostile ones end, and nothing outside can be touched from within."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from shared.errors import Reject, Retry
from shared.sandbox import Confinement, Killed, Sandbox, confinement_level
from tests.shared.sandboxed import ATTEMPTS

Make = Callable[..., Sandbox[Any]]


@pytest.fixture
async def sandbox() -> AsyncIterator[Make]:
    made: list[Sandbox[Any]] = []

    def make(function: str, kind: type = bytes, **options: Any) -> Sandbox[Any]:
        settings: dict[str, Any] = {"slots": 2, "seconds": 10.0, **options}
        made.append(Sandbox(f"tests.shared.sandboxed:{function}", kind, **settings))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def test_a_job_gives_its_result(sandbox: Make) -> None:
    assert await sandbox("double").run(b"ab") == b"abab"


async def test_a_large_result_comes_back_whole(sandbox: Make) -> None:
    assert await sandbox("double").run(bytes(20_000_000)) == bytes(40_000_000)


async def test_each_job_gets_a_child_of_its_own(sandbox: Make) -> None:
    box = sandbox("pid", int)
    pids = [await box.run(b"") for _ in range(3)]
    assert len({*pids, os.getpid()}) == 4


async def test_children_may_be_kept_for_several_jobs(sandbox: Make) -> None:
    box = sandbox("pid", int, jobs_per_child=2)
    pids = [await box.run(b"") for _ in range(4)]
    assert (pids[0], pids[2]) == (pids[1], pids[3])
    assert pids[0] != pids[2]


async def test_a_refusal_comes_back_with_its_reason(sandbox: Make) -> None:
    with pytest.raises(Reject, match=r"^no way$"):
        await sandbox("refuse").run(b"way")


async def test_a_defect_is_for_another_try(sandbox: Make) -> None:
    with pytest.raises(Retry, match="ZeroDivisionError: boom"):
        await sandbox("break_down").run(b"boom")


@pytest.mark.parametrize("function", ["loop", "sleep"])
async def test_a_job_that_overstays_is_killed(sandbox: Make, function: str) -> None:
    start = time.monotonic()
    with pytest.raises(Killed, match="longer than 1 s"):
        await sandbox(function, seconds=1.0).run(b"x")
    assert time.monotonic() - start < 4


async def test_a_job_that_burns_the_processor_is_stopped(sandbox: Make) -> None:
    with pytest.raises(Killed, match="more processor time than allowed"):
        await sandbox("loop", seconds=60.0, limits=Confinement(cpu_seconds=1)).run(b"x")


async def test_a_job_that_takes_too_much_memory_is_refused(sandbox: Make) -> None:
    with pytest.raises(Reject, match="more memory than allowed"):
        await sandbox("hoard").run(b"x")


async def test_a_child_that_dies_is_told_and_the_next_job_is_unaffected(sandbox: Make) -> None:
    box = sandbox("die")
    with pytest.raises(Killed, match="died of SIG"):
        await box.run(b"die")
    assert await box.run(b"live") == b"live"


async def test_a_slow_job_does_not_hold_up_its_neighbour(sandbox: Make) -> None:
    slow = asyncio.create_task(sandbox("sleep", seconds=3.0).run(b"x"))
    assert await sandbox("double").run(b"ab") == b"abab"
    assert not slow.done()
    slow.cancel()


async def test_threads_work(sandbox: Make) -> None:
    assert await sandbox("in_threads").run(b"x") == b"xxxx"


def test_this_machine_has_every_layer() -> None:
    assert confinement_level().endswith("seccomp")


@pytest.mark.parametrize("what", list(ATTEMPTS))
async def test_a_child_cannot(sandbox: Make, what: str, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("here", encoding="utf-8")
    assert await sandbox("attempt", str).run(what.encode(), str(target)) == "PermissionError"
    assert target.read_text(encoding="utf-8") == "here"


def test_a_killed_service_leaves_no_child_at_work(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = "import asyncio, os, pathlib; from shared.sandbox import Sandbox\nasync def main():\n"
    program += " box = Sandbox('tests.shared.sandboxed:loop', bytes, slots=1, seconds=60)\n await box.warm()\n"
    program += " asyncio.ensure_future(box.run(b'x')); await asyncio.sleep(0.5)\n"
    program += f" pathlib.Path({str(seen)!r}).write_text(str(os.getpid())); os.kill(os.getpid(), 9)\n"
    program += "if __name__ == '__main__': asyncio.run(main())"
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, "-c", program], env=environment, timeout=30, check=False, start_new_session=True)
    session = int(seen.read_text(encoding="ascii"))
    deadline = time.monotonic() + 5
    while (left := _of_session(session)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


def _of_session(session: int) -> list[str]:
    """Return the processes that have a command line and are of this session."""
    found: list[str] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone meanwhile
            if os.getsid(int(folder.name)) == session and (folder / "cmdline").read_bytes():
                found.append(folder.name)
    return found


async def test_a_server_that_died_is_started_again(sandbox: Make) -> None:
    box = sandbox("parent", int)
    server = await box.run(b"")
    os.kill(server, signal.SIGKILL)
    await asyncio.sleep(0.2)
    assert await box.run(b"") != server


async def test_a_job_whose_server_dies_is_for_another_try(sandbox: Make) -> None:
    box = sandbox("parent", int)
    server = await box.run(b"")
    os.kill(server, signal.SIGSTOP)
    job = asyncio.create_task(box.run(b""))  # its child was forked ahead; the next one's is not
    await job
    job = asyncio.create_task(box.run(b""))
    await asyncio.sleep(0.1)
    os.kill(server, signal.SIGKILL)
    with pytest.raises(Retry, match=r"the server that runs .* ended"):
        await job


async def test_children_know_none_of_the_secrets_in_the_environment(
    sandbox: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALFTONE_NATS_PASSWORD", "secret")
    assert "HALFTONE_NATS_PASSWORD" not in await sandbox("environment", list[str]).run(b"")


async def test_children_that_end_in_any_order_are_told_apart(sandbox: Make) -> None:
    box = sandbox("die", slots=8)
    jobs = [b"die" if number % 3 == 0 else b"%d" % number for number in range(120)]
    results = await asyncio.gather(*(box.run(job) for job in jobs), return_exceptions=True)
    assert [isinstance(result, Killed) or result for result in results] == [job == b"die" or job for job in jobs]


async def test_what_cannot_be_loaded_is_said_and_waited_for_no_longer(capfd: pytest.CaptureFixture[str]) -> None:
    box = Sandbox("tests.shared.sandboxed:missing", bytes, slots=1, seconds=10)
    with pytest.raises(Retry, match="cannot start a process to run tests"):
        await box.run(b"")
    assert "has no attribute 'missing'" in capfd.readouterr().err
    await box.close()
