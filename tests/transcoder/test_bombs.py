"""What is made to take a decoder down is refused or done, in time and in memory, one after the other in a process."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.transcoder import bombs

NAMES = [name for family in bombs.ALL for name in family()]
MOST_SECONDS = 10
"""Of CPU time, so that a busy machine does not matter."""
MOST_MB = 512


@pytest.fixture(scope="module")
def ended() -> dict[str, dict[str, Any]]:
    """Show all bombs to one child process, limited to two gigabytes of addresses."""
    child = subprocess.run(
        ["prlimit", "--as=2000000000", sys.executable, "-m", "tests.transcoder.bombs"],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    lines = [json.loads(line) for line in child.stdout.splitlines()]
    assert (child.returncode, child.stderr) == (0, "")
    return {line["name"]: line for line in lines}


@pytest.mark.parametrize("name", NAMES)
def test_a_bomb_is_settled_in_time_and_memory(name: str, ended: dict[str, dict[str, Any]]) -> None:
    assert ended[name]["seconds"] < MOST_SECONDS
    assert ended[name]["peak_mb"] < MOST_MB


def test_there_are_many() -> None:
    assert len(NAMES) >= 70
