"""Make an article's HTML safe to show, and point its images elsewhere without touching anything else."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import nh3

from shared.srcset import parse_srcset
from shared.tags import Tag, escape, walk

# Where authors and lazy loaders keep the URL of the image that is meant; the first that holds one is taken.
_LAZY_SOURCES = """
    data-orig-file data-src data-lazy-src data-original data-actualsrc data-original-src data-canonical-src
    data-full-url data-full-src data-large-file data-hi-res-src data-hires data-lazyload data-lazy data-lazyload-src
    data-delayed-url data-delay-src data-defer-src data-deferred data-echo data-cfsrc data-ezsrc data-img-src
    data-img-url data-image data-image-src data-url data-source data-normal data-raw-src data-real-src
    data-pagespeed-lazy-src data-wpfc-original-src data-opt-src data-runner-src data-li-src data-flickity-lazyload
    data-backsrc data-fallback-src nitro-lazy-src original-src lazy-src lazysrc real_src ng-src zoomfile file _src
"""
_LAZY_SRCSETS = """
    data-srcset data-lazy-srcset data-original-set data-original-srcset data-opt-srcset nitro-lazy-srcset lazy-srcset
"""
LAZY_SOURCES = tuple(_LAZY_SOURCES.split())
LAZY_SRCSETS = tuple(_LAZY_SRCSETS.split())
_URL_ATTRIBUTES = frozenset({"src", "poster", "background", *LAZY_SOURCES})
_SRCSET_ATTRIBUTES = frozenset({"srcset", "imagesrcset", *LAZY_SRCSETS})
_IMAGE_TAGS = frozenset({"img", "amp-img", "image", "input", "source", "video", "table", "td", "th", "body", "link"})
CSS_URL = re.compile(r"""url\(\s*(?:"([^"]*)"|'([^']*)'|([^)"'\s]*))\s*\)""", re.IGNORECASE)

_IFRAME_HOSTS = """
    bandcamp.com clips.twitch.tv embed.podcasts.apple.com embed.ted.com open.spotify.com player.bilibili.com
    player.twitch.tv player.vimeo.com w.soundcloud.com www.dailymotion.com www.youtube-nocookie.com www.youtube.com
    youtube.com
"""
IFRAME_HOSTS = frozenset(_IFRAME_HOSTS.split())
_DEEPEST = 500  # elements within each other
_LEAVES = "area br col dd dt hr img input li link meta option p source td th tr"
_NOT_NESTED = frozenset(_LEAVES.split())  # what has no content, and what a new one of its kind closes
_IGNORED_IN_URLS = re.compile(r"[\x00-\x20]+")
_DATA_IMAGE = re.compile(r"data:image/(?:png|gif|jpe?g|webp|avif|bmp|x-icon);", re.IGNORECASE)

_TAGS = """
    a abbr acronym address article aside audio b bdi bdo big blockquote br caption center cite code col colgroup dd
    del details dfn div dl dt em figcaption figure footer h1 h2 h3 h4 h5 h6 header hgroup hr i iframe img ins kbd li
    main mark nav ol p pre q rp rt ruby s samp section small source span strike strong sub summary sup table tbody
    td tfoot th thead time tr tt u ul var video wbr
"""
_ATTRIBUTES = {
    "*": {"dir", "lang", "title"},
    "a": {"href"},
    "audio": {"src", "controls"},
    "blockquote": {"cite"},
    "code": {"class"},
    "col": {"span"},
    "colgroup": {"span"},
    "del": {"cite", "datetime"},
    "details": {"open"},
    "iframe": {"src", "width", "height", "allowfullscreen"},
    "img": {"src", "alt", "width", "height"},
    "ins": {"cite", "datetime"},
    "li": {"value"},
    "ol": {"start", "type", "reversed"},
    "pre": {"class"},
    "q": {"cite"},
    "source": {"src", "type"},
    "td": {"colspan", "rowspan", "headers", "align"},
    "th": {"colspan", "rowspan", "headers", "align", "scope"},
    "time": {"datetime"},
    "video": {"src", "poster", "controls", "width", "height"},
}


def _allow(tag: str, attribute: str, value: str) -> str | None:
    """Decide what the list of attributes cannot: hosts of iframes, inline data, where which scheme may stand."""
    if attribute not in {"src", "poster", "cite", "href"}:
        return value
    scheme = _IGNORED_IN_URLS.sub("", value[:40])[:5].lower()
    if scheme == "data:":
        return value if tag == "img" and _DATA_IMAGE.match(value) else None
    if attribute != "href" and not scheme.startswith("http"):
        return None
    return None if tag == "iframe" and not known_iframe(value) else value


_CLEANER = nh3.Cleaner(
    tags=set(_TAGS.split()),
    clean_content_tags={"script", "style", "template", "title", "head", "textarea", "select", "svg", "annotation"},
    attributes=_ATTRIBUTES,
    attribute_filter=_allow,
    url_schemes={"http", "https", "mailto", "tel", "magnet", "data"},
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={
        "iframe": {
            "sandbox": "allow-scripts allow-same-origin allow-popups allow-presentation",
        },
        "audio": {"controls": ""},
        "video": {"controls": ""},
    },
)


def sanitise(html: str) -> str:
    """Return `html` as a fragment that is safe to show: text, links, images, tables, known players, nothing else.

    URLs stay only with the schemes http, https, mailto, tel and magnet, and `data:` for raster images in `<img>`;
    iframes only of `IFRAME_HOSTS`, sandboxed; scripts, styles, forms, event handlers, SVG and MathML go.
    """
    clean = _CLEANER.clean(_flatten(html) if html.count("<") > _DEEPEST else html)
    return _without_empty_iframes(clean) if "<iframe" in clean else clean


def known_iframe(url: str) -> bool:
    """Return whether an embedded page is of a host that articles may embed."""
    try:
        return (urlsplit(url).hostname or "") in IFRAME_HOSTS
    except ValueError:
        return False


def _flatten(html: str) -> str:
    """Leave out the tags that nest deeper than any article does: the sanitiser's time is quadratic in the depth."""
    pieces: list[str] = []
    position = depth = 0
    for tag in walk(html):
        if tag.name in _NOT_NESTED:
            continue
        depth = max(0, depth - 1) if tag.closing else depth + 1
        if depth + tag.closing > _DEEPEST:
            pieces.append(html[position : tag.start])
            position = tag.end
    return "".join((*pieces, html[position:]))


def _without_empty_iframes(clean: str) -> str:
    pieces: list[str] = []
    position = 0
    opened: int | None = None
    for tag in walk(clean):
        if tag.name == "iframe" and not tag.closing and "src" not in tag.attributes():
            opened = tag.start
        elif tag.name == "iframe" and tag.closing and opened is not None:
            pieces.append(clean[position:opened])
            position, opened = tag.end, None
    return "".join((*pieces, clean[position:]))


def rewrite_images(html: str, mapping: Mapping[str, str]) -> str:
    """Return `html` with every image URL that is a key of `mapping` replaced by its value.

    Looks at `src`, `srcset`, `poster`, `background`, what lazy loaders use, and `url(…)` in inline styles. Every
    other character stays as it was.
    """
    pieces: list[str] = []
    position = 0
    for start, end, value in _replacements(html, mapping):
        pieces += html[position:start], value
        position = end
    return "".join((*pieces, html[position:])) if pieces else html


def _replacements(html: str, mapping: Mapping[str, str]) -> Iterator[tuple[int, int, str]]:
    for tag in walk(html):
        if not tag.closing and (tag.name in _IMAGE_TAGS or "style" in html[tag.inside : tag.end].lower()):
            yield from _tag_replacements(tag, mapping)


def _tag_replacements(tag: Tag, mapping: Mapping[str, str]) -> Iterator[tuple[int, int, str]]:
    found = sorted(tag.attributes().items(), key=lambda item: item[1].start)
    for name, attribute in found:
        if name in _URL_ATTRIBUTES:
            value = mapping.get(attribute.value.strip(), attribute.value)
        elif name in _SRCSET_ATTRIBUTES:
            value = _rewrite_srcset(attribute.value, mapping)
        elif name == "style":
            value = _rewrite_style(attribute.value, mapping)
        else:
            continue
        if value != attribute.value:
            quote = tag.text[attribute.start - 1]
            yield attribute.start, attribute.end, escape(value, quote)


def _rewrite_srcset(text: str, mapping: Mapping[str, str]) -> str:
    for candidate in reversed(parse_srcset(text)):
        url = mapping.get(candidate.url, candidate.url)
        text = text[: candidate.start] + url + text[candidate.end :]
    return text


def _rewrite_style(style: str, mapping: Mapping[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        url = mapping.get(next(filter(None, match.groups()), "").strip())
        return match.group() if url is None else f"url('{url}')"

    return CSS_URL.sub(replace, style)
