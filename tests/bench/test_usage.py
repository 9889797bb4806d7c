"""Benchmarks say how they are used where their arguments do not fit."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.mark.parametrize("arguments", ["feed_server.py", "tools.py", "parse.py many", "pipeline.py", "transcode.py"])
def test_wrong_arguments_are_answered_by_the_usage(arguments: str) -> None:
    script, *rest = arguments.split()
    ended = subprocess.run([sys.executable, BENCH / script, *rest], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"usage: {script}")
