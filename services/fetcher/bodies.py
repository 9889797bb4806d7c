"""Turn an entry's HTML into a body to show: its URLs absolute, its images found, what tracks or harms gone."""

import re
from collections import Counter
from html import escape

import msgspec

from services.fetcher.images import Image, Offer, choose, offers
from services.fetcher.pixels import declared, is_placeholder, is_tracker, may_be_cover
from services.fetcher.twins import Picture, drop_twins
from shared.html import CSS_URL, known_iframe, sanitise
from shared.tags import Tag, walk
from shared.urls import resolve

_LINK_SCHEME = re.compile(r"(?:mailto|tel):\S|magnet:\?", re.IGNORECASE)
_BACKGROUNDS = ("data-bg", "data-background", "data-background-image", "data-bg-url", "data-bg-src")
_BACKGROUND = re.compile(r"(?:^|;)\s*background(?:-image)?\s*:([^;]*(?:url\([^)]*\)[^;]*)?)", re.IGNORECASE)
_FRAME_SOURCES = ("data-src", "data-lazy-src", "src")
_LATE_FORMATS = frozenset({"image/avif", "image/jxl", "image/heic"})  # taken only where nothing else is as large
_DATA_IMAGE = re.compile(r"\s*data:image/", re.IGNORECASE)
_MATH = """
    maction math menclose merror mfenced mfrac mi mmultiscripts mn mo mover mpadded mphantom mroot mrow ms mspace msqrt
    mstyle msub msubsup msup mtable mtd mtext mtr munder munderover semantics
"""
_WRAPPERS = frozenset({"picture", "noscript", *_MATH.split()})
_IMAGES = frozenset({"img", "amp-img"})


class Body(msgspec.Struct, frozen=True):
    """An entry's HTML as articles carry it."""

    html: str  # sanitised; image URLs are absolute source URLs
    images: tuple[Image, ...]  # in the order of the body, each once
    invalid_hrefs: dict[str, int] = {}


def read_body(html: str, base: str) -> Body:
    """Return the body to show for an entry's `html`, whose relative URLs are relative to `base`.

    Each picture, however it is written (`srcset`, `<picture>`, lazy attributes, a `<noscript>` twin, an inline
    background), becomes one `<img src>` of the best URL it names.
    """
    editor = _Editor(html, base)
    for tag in walk(html):
        editor.see(tag)
    return editor.finish()


class _Editor:
    """Collects edits and pictures while the tags of one document go by."""

    def __init__(self, html: str, base: str) -> None:
        self.html = html
        self.base = base
        self.edits: list[tuple[int, int, str]] = []
        self.pictures: list[Picture] = []
        self.sources: list[Offer] | None = None  # of the `<picture>` that is open
        self.in_noscript = False
        self.frame_end: int | None = None  # of the `<iframe>` tag that is open
        self.invalid_hrefs: Counter[str] = Counter()

    def see(self, tag: Tag) -> None:
        """Take in the next tag."""
        if tag.name in _WRAPPERS:
            self._wrapper(tag)
        elif tag.name == "iframe":
            self._iframe(tag)
        elif tag.closing:
            return
        elif tag.name in _IMAGES:
            self._image(tag)
        elif tag.name == "a":
            self._link(tag)
        elif tag.name in {"video", "audio", "source", "blockquote", "q"}:
            self._media(tag)
        elif "background" in self.html[tag.inside : tag.end] or "data-bg" in self.html[tag.inside : tag.end]:
            self._background(tag)

    def finish(self) -> Body:
        """Return the body with every edit made."""
        images: dict[str, Image] = {}
        for picture in drop_twins(self.html, self.pictures):
            image, text = _settle(picture, self.html)
            if image:
                images.setdefault(image.source, image)
            self.edits.append((picture.start, picture.end, text))
        html = sanitise(self._edited())
        return Body(html, tuple(images.values()), dict(self.invalid_hrefs))

    def _edited(self) -> str:
        pieces: list[str] = []
        position = 0
        for start, end, text in sorted(self.edits):
            pieces += self.html[position:start], text
            position = end
        return "".join((*pieces, self.html[position:]))

    def _wrapper(self, tag: Tag) -> None:
        """Take a tag away and leave what it holds; of formulas that is their text."""
        if tag.name == "noscript":
            self.in_noscript = not tag.closing
        elif tag.name == "picture":
            self.sources = None if tag.closing else []
        self.edits.append((tag.start, tag.end, ""))

    def _image(self, tag: Tag) -> None:
        attributes = {name: attribute.value for name, attribute in tag.attributes().items()}
        found = [*offers(attributes, self.base), *(self.sources or ())]
        self.pictures.append(Picture(tag.start, tag.end, attributes, found, self.in_noscript))

    def _link(self, tag: Tag) -> None:
        href = tag.attributes().get("href")
        if href is None or _LINK_SCHEME.match(href.value.strip()):
            return
        url = resolve(href.value, self.base) if href.value.strip() else None
        if url is None:
            self.invalid_hrefs[href.value] += 1
        elif url != href.value:
            self._replace(tag, href.start, href.end, url)

    def _media(self, tag: Tag) -> None:
        attributes = tag.attributes()
        if tag.name == "source" and self.sources is not None:
            values = {name: attribute.value for name, attribute in attributes.items()}
            late = values.get("type", "").lower() in _LATE_FORMATS
            self.sources += offers(values, self.base, rank=3 if late else 2)
            self.edits.append((tag.start, tag.end, ""))
            return
        for name in ("src", "cite", "poster"):
            attribute = attributes.get(name)
            url = attribute and attribute.value.strip() and resolve(attribute.value, self.base)
            if attribute and url:
                self._replace(tag, attribute.start, attribute.end, url)
                if name == "poster":
                    self.pictures.append(Picture(tag.end, tag.end, {}, [Offer(url, 0, 0)], poster=True))

    def _iframe(self, tag: Tag) -> None:
        """Keep a known player, without what it holds for browsers that know no frames; drop any other."""
        if tag.closing:
            if self.frame_end is not None:
                self.edits.append((self.frame_end, tag.end, ""))
            self.frame_end = None
            return
        attributes = {name: attribute.value for name, attribute in tag.attributes().items()}
        named = next((attributes[name] for name in _FRAME_SOURCES if attributes.get(name)), "")
        url = resolve(named, self.base)
        text = ""
        if url and known_iframe(url):
            sizes = ((name, declared(name, attributes)) for name in ("width", "height"))
            size = "".join(f' {name}="{value}"' for name, value in sizes if value)
            text = f'<iframe src="{escape(url)}"{size} allowfullscreen></iframe>'
        self.edits.append((tag.start, tag.end, text))
        self.frame_end = tag.end

    def _background(self, tag: Tag) -> None:
        attributes = {name: attribute.value for name, attribute in tag.attributes().items()}
        match = _BACKGROUND.search(attributes.get("style", ""))
        css = match and CSS_URL.search(match.group(1))
        named = next(filter(None, css.groups()), "") if css else ""
        value = next((attributes[name] for name in _BACKGROUNDS if attributes.get(name)), named)
        url = resolve(value, self.base) if value and not is_placeholder(value) else None
        if url:
            self.pictures.append(Picture(tag.end, tag.end, {}, [Offer(url, 0, 0)]))

    def _replace(self, tag: Tag, start: int, end: int, url: str) -> None:
        quoted = tag.text[start - 1] in "\"'"
        self.edits.append((start, end, escape(url) if quoted else f'"{escape(url)}"'))


def _settle(picture: Picture, html: str) -> tuple[Image | None, str]:
    """Return the image that a picture stands for, and the HTML to write in its place."""
    attributes = picture.attributes
    if picture.dropped:
        return None, ""
    chosen = choose(picture.offers)
    if not chosen:
        keep = _DATA_IMAGE.match(attributes.get("src", "")) and not is_tracker("", attributes)
        return None, html[picture.start : picture.end] if keep else ""
    source, alternates = chosen
    if is_tracker(source, attributes):
        return None, ""
    width, height = declared("width", attributes) or 0, declared("height", attributes) or 0
    image = Image(source, alternates, cover=may_be_cover(source, attributes), width=width, height=height)
    return image, "" if picture.poster else _img(source, attributes)


def _img(source: str, attributes: dict[str, str]) -> str:
    kept = ((name, attributes[name]) for name in ("alt", "title", "width", "height") if attributes.get(name))
    return f'<img src="{escape(source)}"' + "".join(f' {name}="{escape(value)}"' for name, value in kept) + ">"
