"""Logs of a process: one JSON object a line on stderr, whoever logs."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

SETUP = """
import logging, warnings, structlog
from shared import logs
early = structlog.get_logger()
logs.configure("fetcher", "one", level={level!r}, form={form!r})
"""


def log(code: str, *, level: str = "info", form: str = "json") -> str:
    """What a process that runs `code` writes to stderr; nothing may reach its stdout, where results go."""
    script = SETUP.format(level=level, form=form) + code
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr


def lines(code: str, level: str = "info") -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in log(code, level=level).splitlines()]


def test_a_line_is_an_object_with_its_time_level_and_service() -> None:
    [line] = lines("early.info('started', port=1)")
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "started", "level": "info", "port": 1, "service": "fetcher", "instance": "one"}


def test_what_is_bound_to_a_polls_work_is_on_each_of_its_lines() -> None:
    code = """
with structlog.contextvars.bound_contextvars(requestId="r1"):
    early.info("in")
    logging.getLogger("library").warning("also in")
early.info("out")
"""
    assert [line.get("requestId") for line in lines(code)] == ["r1", "r1", None]


def test_the_standard_librarys_loggers_write_the_same_objects() -> None:
    [line] = lines("logging.getLogger('asyncio').warning('slow %s', 'callback')")
    found = {key: line[key] for key in ("event", "level", "logger", "service", "instance")}
    expected = {
        "event": "slow callback",
        "level": "warning",
        "logger": "asyncio",
        "service": "fetcher",
        "instance": "one",
    }
    assert found == expected


def test_an_exception_stays_on_its_line() -> None:
    code = """
for logger in early, logging.getLogger("library"):
    try:
        1 / 0
    except ZeroDivisionError:
        logger.exception("failed")
"""
    found = lines(code)
    assert [line["event"] for line in found] == ["failed", "failed"]
    assert all("ZeroDivisionError: division by zero" in line["exception"] for line in found)


def test_what_is_below_the_level_is_not_written() -> None:
    assert [line["event"] for line in lines("early.info('a'); early.warning('b')", level="warning")] == ["b"]
    assert [line["event"] for line in lines("early.debug('a')", level="debug")] == ["a"]


def test_people_at_a_terminal_get_text() -> None:
    text = log("early.info('started', port=1)", form="text")
    assert "started" in text
    assert not text.startswith("{")
