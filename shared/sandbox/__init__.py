"""Run a pure function on hostile bytes in a child process that can do nothing else and can be killed."""

from shared.sandbox.confine import Confinement, confinement_level
from shared.sandbox.sandbox import Killed, Sandbox

__all__ = ["Confinement", "Killed", "Sandbox", "confinement_level"]
