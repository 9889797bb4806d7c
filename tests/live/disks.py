"""Disks of a few megabytes that misbehave when they are told to."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_CHUNKS = (65_536, 4096)  # bytes written at a time: as much as there is room for, to the last page


@contextmanager
def small_disk(folder: Path, size: int) -> Generator[None]:
    """Mount a disk of `size` bytes on the folder while the block runs; fails where that is not allowed."""
    made = _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    assert made.returncode == 0, f"this test mounts a small disk, for which it must be root: {made.stderr}"
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Leave no room on the disk."""
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        for chunk in _CHUNKS:
            try:
                while ballast.write(bytes(chunk)) == chunk:
                    pass
            except OSError:
                continue


def make_room(disk: Path) -> None:
    """Undo `fill`."""
    (disk / "ballast").unlink()


def made_read_only(disk: Path) -> bool:
    """Let nobody write to the disk; False where that cannot be, since somebody is writing to it right now."""
    return _mount("-o", "remount,ro", str(disk)).returncode == 0


def make_writable(disk: Path) -> None:
    """Undo `made_read_only`."""
    made = _mount("-o", "remount,rw", str(disk))
    assert made.returncode == 0, made.stderr


def _mount(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
