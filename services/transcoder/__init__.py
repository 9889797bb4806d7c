"""The transcoder: any image in, the smallest WebP that looks the same out."""

from services.transcoder.rendition import Limits, RenderOptions, Rendition, Unrenderable
from services.transcoder.transcode import transcode

__all__ = ["Limits", "RenderOptions", "Rendition", "Unrenderable", "transcode"]
