"""What the command line refuses, in one line, and the version that it says."""

import sys
import time
from pathlib import Path

import pytest

from services.standalone.broker import prepare
from services.standalone.cli import main
from shared.version import version


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the default data directory out of the sources, should a command run after all."""
    monkeypatch.chdir(tmp_path)


def ended_with(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["halftone", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return str(ended.value.code)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("transcode a b --quality 0", "Must be >= 1"),
        ("transcode a b --quality 101", "Must be <= 100"),
        ("transcode a b --max-width 0", "Must be >= 1"),
        ("transcode a b --max-width 16384", "Must be <= 16383"),
        ("transcode a b --budget 999", "Must be >= 1000"),
        ("tokens revoke 2147483648", "Must be < 2147483648"),
        ("tokens revoke 0", "Must be >= 1"),
        ("dlq show 0", "Must be >= 1"),
        ("dlq replay 1 0", "Must be >= 1"),
        ("dlq drop 9223372036854775808", "Must be < 9223372036854775808"),
        ("up --allow-host a..b:80", "'a..b:80' is not HOST:PORT"),
        ("up --host=", "an empty host would be every address"),
        ("up --data=", "an empty data directory would be the current one"),
    ],
)
def test_a_value_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, command: str, said: str) -> None:
    answer = ended_with(monkeypatch, *command.split())
    assert answer.startswith("halftone: ")
    assert (said in answer, "\n" in answer) == (True, False), answer


def test_the_address_comes_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALFTONE_HTTP_HOST", "0.0.0.0")
    monkeypatch.setenv("HALFTONE_HTTP_PORT", "70000")
    assert "HALFTONE_HTTP_PORT provided by env. Must be <= 65535" in ended_with(monkeypatch, "up")
    monkeypatch.setenv("HALFTONE_HTTP_PORT", "1")
    monkeypatch.setenv("HALFTONE_HTTP_HOST", "192.0.2.1")  # RFC 5737: nobody's
    assert ended_with(monkeypatch, "up").startswith("halftone: cannot listen on 192.0.2.1:1: ")


@pytest.mark.parametrize("action", ["replay", "drop"])
def test_no_letter_is_chosen_by_saying_none(monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    assert ended_with(monkeypatch, "dlq", action) == (
        "halftone: which dead letters? Give their numbers, as `halftone dlq list` prints them, or --all"
    )


@pytest.mark.parametrize("ever", [True, False])
@pytest.mark.parametrize("command", ["accounts", "accounts check", "dlq list", "broker-url"])
def test_a_tool_says_at_once_that_nothing_is_running(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, *, ever: bool
) -> None:
    data = tmp_path / "data"
    if ever:
        prepare(data)
    monkeypatch.setenv("HALFTONE_DATA", str(data))
    start = time.monotonic()
    said = ended_with(monkeypatch, *command.split())
    assert said == f"halftone: nothing is running on {data}: start `halftone up --data {data}` first"
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("command", ["up", "fetch", "demo", "provision", "gc", "dlq drop"])
def test_no_option_has_a_negative_that_means_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    ended_with(monkeypatch, *command.split(), "--help")
    assert "--no-" not in (helped := capsys.readouterr().out)
    assert "--empty-" not in helped


def test_the_version_is_the_packages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended_with(monkeypatch, "--version") == "0"
    assert capsys.readouterr().out == "0.1.0\n"


def test_a_tree_that_was_only_copied_knows_its_version_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])  # where installed packages are looked for
    assert version() == "0.1.0"
