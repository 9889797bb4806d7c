"""What processes have used, by Linux' /proc: the processor time and memory of one and all its descendants."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """Return the process and its descendants that live."""
    parents = {int(path.name): _stat(path)[1] for path in Path("/proc").iterdir() if path.name.isdigit()}
    found = [pid]
    for member in found:
        found += [child for child, parent in parents.items() if parent == str(member)]
    return found


def cpu_seconds(pid: int) -> float:
    """Return the processor time of the family, members that have ended included."""
    return sum(sum(map(int, _stat(Path(f"/proc/{member}"))[11:15])) for member in family(pid)) / _TICKS


def megabytes(pid: int) -> float:
    """Return the family's memory; pages that members share count once (PSS)."""
    rollups = (Path(f"/proc/{member}/smaps_rollup").read_text(encoding="ascii") for member in family(pid))
    lines = (line for text in rollups for line in text.splitlines() if line.startswith("Pss:"))
    return sum(int(line.split()[1]) for line in lines) / 1024


def _stat(process: Path) -> list[str]:
    """Return the fields of `stat` from the third on; of a process that has just ended, zeros."""
    try:
        return (process / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ["0"] * 50
