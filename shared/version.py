"""Which Halftone this is."""

import tomllib
from importlib import metadata
from pathlib import Path


def version() -> str:
    """Return the package's version; where only its tree was copied, as into the image, what that says."""
    try:
        return metadata.version("halftone")
    except metadata.PackageNotFoundError:
        project = Path(__file__).parents[1] / "pyproject.toml"
        return str(tomllib.loads(project.read_text("utf-8"))["project"]["version"])
