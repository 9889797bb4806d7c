"""What Pillow raises for broken or hostile files, and how that is told to a person."""

import warnings

from PIL import Image, UnidentifiedImageError

from services.transcoder.rendition import Unrenderable

# Pillow warns of what its own limit finds too large, and refuses at twice that; both are a refusal here.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError)
FAULTS = (
    *TOO_LARGE,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""Broken files make decoders stumble in all these ways; none of them is a bug of ours."""


def refusal(fault: BaseException, what: str) -> Unrenderable:
    """Say why a file cannot be rendered, from what Pillow made of it."""
    if isinstance(fault, TOO_LARGE):
        return Unrenderable(f"{what} needs far more memory than is allowed")
    if isinstance(fault, UnidentifiedImageError):
        return Unrenderable(f"{what} is damaged: its header makes no sense")
    said = (str(fault) or type(fault).__name__).splitlines()[0][:200]
    return Unrenderable(f"{what} is damaged: {said}")
