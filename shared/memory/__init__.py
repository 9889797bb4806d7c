"""The bus in one process's memory: for tests and for learning the system; passes the real one's contract tests."""

from shared.memory.bus import MemoryBus

__all__ = ["MemoryBus"]
