"""Measure the transcoder against gif2webp, libvips, sharp and Pillow: seconds, bytes, SSIM and peak memory.

    python bench/transcode.py DIR [--json FILE] [--rounds 5] [--quality 75] [--kind gif|still]

Every round runs every tool once on a file before the next round starts, so that a busy machine is busy for all;
medians are reported. A tool that is not on the machine is left out, and named. All of them have the heap that images
are rendered with (`shared.sandbox.heap`): ours, libvips and Pillow in this process, gif2webp and sharp by glibc's
environment variables of the same effect.
"""

import argparse
import json
import math
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from similarity import Similarity, compare
from tools import Tool, available, peak_of, python_tool

from shared.sandbox import heap

ROUNDS = 5
SAME_HEAP = {"MALLOC_MMAP_THRESHOLD_": "2147483647", "MALLOC_TRIM_THRESHOLD_": "2147483647", "MALLOC_ARENA_MAX": "1"}
"""For the programs that are started: mallopt(3), "Environment variables"."""
STILLS = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".ico"}


def main() -> None:
    """Run the benchmark, or, for the memory figures, one tool on one file."""
    heap.tune()
    os.environ.update(SAME_HEAP)
    options = _options()
    if options.once:
        python_tool(options.once)(options.where, options.quality)
        return
    kinds = {"gif": {".gif"}, "still": STILLS}
    results: dict[str, Any] = {"cpus": os.cpu_count(), "rounds": options.rounds, "quality": options.quality}
    for kind in [options.kind] if options.kind else list(kinds):
        files = [path for path in sorted(options.where.rglob("*")) if path.suffix.lower() in kinds[kind]]
        with available(kind) as tools:
            rows = [row for path in files for row in _measure(path, tools, options)]
        results[kind] = {"files": rows, "sums": _sums(rows)}
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("where", type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--quality", type=int, default=75)
    parser.add_argument("--kind", choices=("gif", "still"))
    parser.add_argument("--once", metavar="TOOL", help="run one tool on one file")
    return parser.parse_args()


def _measure(path: Path, tools: dict[str, Tool], options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Give one row per tool for this file."""
    seconds: dict[str, list[float]] = {name: [] for name in tools}
    files: dict[str, bytes] = {}
    for _ in range(options.rounds):
        for name, tool in tools.items():
            start = perf_counter()
            files[name], own = tool(path, options.quality)
            seconds[name].append(own if own is not None else perf_counter() - start)
    for name in tools:
        similarity = compare(path.read_bytes(), files[name])
        memory = peak_of(name, path, options.quality) if path.suffix.lower() == ".gif" else None
        yield _row(path, name, statistics.median(seconds[name]), files[name], similarity, memory)


def _row(  # noqa: PLR0917 - a row's columns
    path: Path, tool: str, seconds: float, file: bytes, similarity: Similarity, memory: float | None
) -> dict[str, Any]:
    row = {
        "file": path.name,
        "tool": tool,
        "seconds": round(seconds, 4),
        "bytes": len(file),
        "ssim_mean": round(similarity.mean, 5),
        "ssim_worst": round(similarity.worst, 5),
        "peak_mb": memory and round(memory),
    }
    print("  ".join(f"{value!s:>10}" for value in row.values()), flush=True)
    return row


def _sums(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Give each tool's sums, and how many times as long as ours it takes (geometric mean over files)."""
    ours = {row["file"]: row["seconds"] for row in rows if row["tool"] == "halftone"}
    sums: dict[str, Any] = {}
    for tool in dict.fromkeys(row["tool"] for row in rows):
        own = [row for row in rows if row["tool"] == tool]
        ratios = [math.log(row["seconds"] / ours[row["file"]]) for row in own]
        sums[tool] = {
            "seconds": round(sum(row["seconds"] for row in own), 3),
            "times_ours": round(math.exp(statistics.fmean(ratios)), 2),
            "bytes": sum(row["bytes"] for row in own),
            "ssim_mean": round(statistics.fmean(row["ssim_mean"] for row in own), 5),
            "ssim_worst": min(row["ssim_worst"] for row in own),
            "peak_mb": max((row["peak_mb"] or 0 for row in own), default=0),
        }
        print(f"{tool:>10}  {sums[tool]}")
    return sums


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    main()
