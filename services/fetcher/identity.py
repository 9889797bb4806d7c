"""Give an entry an identity that survives what publishers change: GUIDs, http for https, tracking parameters.

The algorithm:

1. An entry has up to two keys: its *link key* (the link without scheme, `www.`, tracking parameters, trailing slash
   and tracking fragments) and its *id key* (the guid or id; one that is a URL is reduced in the same way).
2. Within one feed a link that entries with different ids share names none of them (podcasts that link their home
   page), nor does an id that entries with different links share (a constant guid). Such keys are left out; where
   both are, the two together are the key.
3. The identity is the hash of the link key if there is one, else of the id key, else of title and date (or body), of
   which the first, second … in the feed are told apart. The other key is an alias: an entry that was seen under any
   of its keys is seen. So a new guid on a known link is no new entry, nor is a new link under a known guid.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import msgspec

from services.fetcher.feed import RawEntry

_TRACKING = re.compile(
    r"utm_\w+|at_(?:medium|campaign|custom\w*|link_\w+|ptr_name)|ns_(?:mchannel|source|campaign|linkname|fee)|mc_[ce]id"
    r"|pk_(?:campaign|kwd|source|medium|content)|piwik_\w+|mtm_\w+|hsa_\w+|_hs(?:enc|mi)|mkt_tok|(?:fb|g|d|w|y|tw|ms)clid"
    r"|gclsrc|msclkid|igshid|gbraid|wbraid|oly_(?:anon|enc)_id|vero_(?:id|conv)|wickedid|__[sh]\w*|_openstat|xtor|cmpid|smid"
    r"|ftag|ocid|ncid|spm|guccounter|guce_referrer\w*|s_cid|cmp|rss_?id|trk|trkcampaign|feature|ref_src|ref_url",
    re.IGNORECASE,
)
_FEED_SOURCE = re.compile(
    r"(?:ref|source|src|from|partner|emc|via|mod|campaign|medium)=(?:rss|feed|atom)[\w-]*", re.IGNORECASE
)
_TRACKING_FRAGMENT = re.compile(r"(?:xtor|utm_\w+|at_\w+|ref|Echobox|comments?|respond)(?:=.*)?", re.IGNORECASE)


class Keys(msgspec.Struct, frozen=True):
    """What an entry is known by within its feed."""

    identity: str
    aliases: tuple[str, ...] = ()


def keys_of(entries: Sequence[RawEntry]) -> list[Keys]:
    """Return the keys of each entry of one feed, in order; see the module for the algorithm."""
    pairs = [(link_key(entry.link), id_key(entry.id)) for entry in entries]
    distinct = set(pairs)
    shared_links = _repeated(link for link, id_ in distinct if id_)
    shared_ids = _repeated(id_ for link, id_ in distinct if link)
    nameless: Counter[str] = Counter()
    keys: list[Keys] = []
    for entry, (link, id_) in zip(entries, pairs, strict=True):
        own = _own(link, id_, link not in shared_links, id_ not in shared_ids, entry.title)
        if not own:
            name = f"title {entry.title} {entry.published}" if entry.title else f"body {entry.content}"
            nameless[name] += 1
            own = [f"{name} {nameless[name]}"]
        first, *rest = (hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:24] for key in own)
        keys.append(Keys(first, tuple(rest)))
    return keys


def link_key(link: str) -> str:
    """Return the part of a link that stays when its site moves to https, drops `www.` or counts its readers."""
    try:
        parts = urlsplit(link.strip())
    except ValueError:
        return link.strip()
    query = "&".join(field for field in parts.query.split("&") if field and not _is_tracking(field))
    fragment = "" if _TRACKING_FRAGMENT.fullmatch(parts.fragment) else parts.fragment
    host = parts.netloc.lower().removeprefix("www.").removesuffix(":80").removesuffix(":443")
    return host + parts.path.rstrip("/") + (f"?{query}" if query else "") + (f"#{fragment}" if fragment else "")


def id_key(id_: str) -> str:
    """Return the part of a guid or id that stays."""
    id_ = " ".join(id_.split())
    return link_key(id_) if id_[:8].lower().startswith(("http://", "https://")) else id_


def _is_tracking(field: str) -> bool:
    return bool(_TRACKING.fullmatch(field.partition("=")[0]) or _FEED_SOURCE.fullmatch(field))


def _repeated(keys: Iterable[str]) -> set[str]:
    return {key for key, count in Counter(keys).items() if key and count > 1}


def _own(link: str, id_: str, link_is_own: bool, id_is_own: bool, title: str) -> list[str]:
    """Return what names the entry by its link and id, best first; nothing where it has neither."""
    own = [f"link {link}"] if link and link_is_own else []
    own += [f"id {id_}"] if id_ and id_is_own else []
    if not own and (link or id_):
        return [f"both {link} {id_}" if id_ else f"link {link} {title}"]
    return own
