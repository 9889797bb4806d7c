"""The tools that the transcoder is measured against, each as one function from a file to a WebP."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

Tool = Callable[[Path, int], tuple[bytes, float | None]]
"""From a file and a quality to the WebP, and the seconds where the tool measures its own."""

SHARP = Path(tempfile.gettempdir()) / "halftone-bench-sharp"
SHARP_SERVER = """
const sharp = require('sharp'), fs = require('fs');
require('readline').createInterface({input: process.stdin}).on('line', async line => {
  const {path, quality, out} = JSON.parse(line), data = fs.readFileSync(path), start = process.hrtime.bigint();
  const made = await sharp(data, {animated: true, limitInputPixels: false})
    .webp({quality, effort: 4}).toBuffer();
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  fs.writeFileSync(out, made);
  console.log(seconds);
});
"""
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def halftone(path: Path, quality: int) -> tuple[bytes, float | None]:
    """Ours."""
    from services.transcoder import RenderOptions, transcode  # noqa: PLC0415 - others' memory is not ours

    return transcode(path.read_bytes(), RenderOptions(quality=quality)).data, None


def gif2webp(path: Path, quality: int) -> tuple[bytes, float | None]:
    """Google's own converter, of Debian's `webp`."""
    return _command("gif2webp", "-quiet", "-lossy", "-mt", "-q", str(quality), str(path), "-o"), None


def libvips(path: Path, quality: int) -> tuple[bytes, float | None]:
    """Give libvips' WebP through pyvips, every frame of it."""
    import pyvips  # noqa: PLC0415 # pyright: ignore[reportMissingImports] - not a dependency

    pages: dict[str, Any] = {"n": -1} if path.suffix.lower() == ".gif" else {}
    vips: Any = pyvips  # pyright: ignore[reportUnknownVariableType]
    image = vips.Image.new_from_buffer(path.read_bytes(), "", **pages)
    return image.webpsave_buffer(Q=quality, effort=4), None


def pillow(path: Path, quality: int) -> tuple[bytes, float | None]:
    """Pillow's `save_all`, told each frame's duration."""
    out = BytesIO()
    with Image.open(path) as image:
        durations: list[int] = []
        for frame in range(getattr(image, "n_frames", 1)):
            image.seek(frame)
            durations.append(image.info.get("duration", 0))
        image.seek(0)
        image.save(out, "WEBP", save_all=True, quality=quality, duration=durations)
    return out.getvalue(), None


def python_tool(name: str) -> Tool:
    """Give one of those that run in Python."""
    return {"halftone": halftone, "libvips": libvips, "pillow": pillow, "gif2webp": gif2webp}[name]


@contextmanager
def available(kind: str) -> Generator[dict[str, Tool]]:
    """Give the tools that this machine has, ours first, and say which it has not."""
    tools: dict[str, Tool] = {"halftone": halftone}
    if kind == "gif":
        tools["pillow"] = pillow
        if shutil.which("gif2webp"):
            tools["gif2webp"] = gif2webp
    if _has_vips():
        tools["libvips"] = libvips
    sharp = _start_sharp()
    if sharp:
        tools["sharp"] = lambda path, quality: _ask_sharp(sharp, path, quality)
    wanted = ["libvips", "sharp"] + (["gif2webp", "pillow"] if kind == "gif" else [])
    for name in wanted:
        if name in tools:
            continue
        print(f"{name} is not on this machine: left out")
    try:
        yield tools
    finally:
        if sharp:
            sharp.kill()
            sharp.wait()


def peak_of(tool: str, path: Path, quality: int) -> float | None:
    """Give the most resident memory in MB of one run in a process of its own; None where that is not to be had."""
    if tool == "sharp":
        return None
    command = [sys.executable, __file__, tool, str(path), str(quality)]
    if tool == "gif2webp":
        command = ["gif2webp", "-quiet", "-lossy", "-mt", "-q", str(quality), str(path), "-o", os.devnull]
    # A forked child begins with its parent's peak: a small process in between keeps ours out of the figure.
    between = [sys.executable, "-S", "-c", PEAK, *command]
    asked = subprocess.run(between, stdout=subprocess.PIPE, text=True, check=False)
    return float(asked.stdout) if asked.returncode == 0 else None


def _command(*command: str) -> bytes:
    with tempfile.NamedTemporaryFile(suffix=".webp") as out:
        subprocess.run([*command, out.name], check=True)
        return Path(out.name).read_bytes()


def _has_vips() -> bool:
    try:
        import pyvips  # noqa: F401, PLC0415 # pyright: ignore[reportMissingImports, reportUnusedImport]
    except (ImportError, OSError):
        return False
    return True


def _start_sharp() -> subprocess.Popen[str] | None:
    """Install sharp in a directory of its own, and start it as a server of lines."""
    if not (shutil.which("node") and shutil.which("npm")):
        return None
    SHARP.mkdir(exist_ok=True)
    if not (SHARP / "node_modules" / "sharp").exists():
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(SHARP), "sharp"]
        if subprocess.run(install, check=False).returncode:
            return None
    return subprocess.Popen(
        ["node", "-e", SHARP_SERVER], cwd=SHARP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _ask_sharp(sharp: subprocess.Popen[str], path: Path, quality: int) -> tuple[bytes, float]:
    if not (sharp.stdin and sharp.stdout):
        raise RuntimeError("sharp has no pipes")
    with tempfile.NamedTemporaryFile(suffix=".webp") as out:
        question = {"path": str(path.resolve()), "quality": quality, "out": out.name}
        sharp.stdin.write(json.dumps(question) + "\n")
        sharp.stdin.flush()
        seconds = float(sharp.stdout.readline())
        return Path(out.name).read_bytes(), seconds


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    parser = argparse.ArgumentParser(description="Run one tool on one file, as `transcode.py` has it done.")
    parser.add_argument("tool")
    parser.add_argument("path", type=Path)
    parser.add_argument("quality", type=int)
    arguments = parser.parse_args()
    python_tool(arguments.tool)(arguments.path, arguments.quality)
