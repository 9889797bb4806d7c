"""Articles that try to run a script wherever they are shown."""

from collections.abc import Sequence

from shared.messages import Article, ArticleFound, FeedPolled, Message
from shared.urls import link_md5
from tests.api.builders import STARTED, polled

PROBE = "window.fired = window.fired || 0; window.fire = () => { window.fired += 1; };"
_EVENTS = ("onerror", "onload", "onfocus autofocus", "ontoggle open", "onanimationstart", "onmouseover", "onbegin")
_TAGS = ("img src=x", "svg", "video src=x", "details", "input", "iframe src=x", "body", "marquee", "object data=x")

VECTORS: tuple[str, ...] = (
    "<script>fire()</script>",
    "<ScRiPt>fire()</sCrIpT>",
    "<script\n>fire()</script\n>",
    "<<script>fire()//<</script>",
    "<svg><script>fire()</script></svg>",
    "<svg><script>fire&#40;&#41;</script></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=fire()></style></mglyph></table></mtext></math>",
    "<svg><p><style><img src=x onerror=fire()></style></p></svg>",
    "<noscript><p title='</noscript><img src=x onerror=fire()>'></noscript>",
    "<template><img src=x onerror=fire()></template><img src=x onerror=fire()>",
    "<img src=x onerror=fire()>",
    "<img/src='x'/onerror=fire()>",
    "<img src=x onerror\n=\nfire()>",
    "<img src=x ONERROR='fire()'>",
    "<img src='data:image/svg+xml,<svg onload=fire()>' onerror=fire()>",
    "<img srcset='x 1x' onerror=fire()>",
    "<svg onload=fire()>",
    "<svg/onload=fire()>",
    "<svg><animate onbegin=fire() attributeName=x dur=1s>",
    "<svg><set onbegin=fire() attributeName=x>",
    "<details open ontoggle=fire()>",
    "<input autofocus onfocus=fire()>",
    "<video src=x onerror=fire()></video>",
    "<video><source onerror=fire() src=x></video>",
    "<audio src=x onerror=fire()>",
    "<iframe srcdoc='<script>parent.fire()</script>'></iframe>",
    "<iframe src='javascript:parent.fire()'></iframe>",
    '<iframe src="data:text/html,<script>parent.fire()</script>"></iframe>',
    "<object data='javascript:fire()'></object>",
    "<embed src='javascript:fire()'>",
    "<a href='javascript:fire()' autofocus onfocus=fire()>x</a>",
    "<a href=' \x01javascript:fire()'>x</a>",
    "<a href='java\tscript:fire()'>x</a>",
    "<a href='&#106;avascript:fire()'>x</a>",
    "<a href='vbscript:fire()'>x</a>",
    "<form action='javascript:fire()'><input type=submit autofocus onfocus=fire()></form>",
    "<button formaction='javascript:fire()' form=x autofocus onfocus=fire()>x</button>",
    "<meta http-equiv=refresh content='0;url=javascript:fire()'>",
    "<base href='javascript:fire()//'>",
    "<link rel=stylesheet href='data:text/css,*{background:url(javascript:fire())}'>",
    "<style>@keyframes x{}</style><b style='animation-name:x' onanimationstart=fire()>x</b>",
    "<style>*{background:url('javascript:fire()')}</style>",
    "<div style='background:url(javascript:fire())'>x</div>",
    "<body onload=fire()>",
    "<marquee onstart=fire()>x</marquee>",
    "<select autofocus onfocus=fire()>",
    "<textarea autofocus onfocus=fire()></textarea>",
    "<textarea></textarea><img src=x onerror=fire()>",
    "<title></title><img src=x onerror=fire()>",
    "--><img src=x onerror=fire()>",
    "]]><img src=x onerror=fire()>",
    '"><img src=x onerror=fire()>',
    "'><img src=x onerror=fire()>",
    "</div></article></main><script>fire()</script>",
    "<!--><img src=x onerror=fire()>-->",
    "<![CDATA[><img src=x onerror=fire()>]]>",
    "<?xml ?><img src=x onerror=fire()>",
    "<img src='x' alt='\"><img src=x onerror=fire()>' onerror='fire()'>",
    "<a title='<img src=x onerror=fire()>' href=x>x</a><img src=x onerror=fire()>",
    "{{ ''.__class__ }}{% raw %}<img src=x onerror=fire()>",
    *(f"<{tag} {event}=fire()>" for tag in _TAGS for event in (each.split()[0] for each in _EVENTS[:2])),
    *(f"<{tag} {event}=fire()>" for tag in ("p tabindex=1", "svg", "b") for event in ("onmouseover", "onclick")),
)


def hostile_events() -> Sequence[Message]:
    """Return a poll whose articles are hostile in body, title, author and link."""
    request_id = f"{'e' * 32}_1"
    articles = [_article(number, vector) for number, vector in enumerate(VECTORS)]
    found: list[Message] = [
        ArticleFound(request_id=request_id, feed=1, position=number, article=it) for number, it in enumerate(articles)
    ]
    end: FeedPolled = polled(request_id, *articles)
    return [*found, end]


def _article(number: int, vector: str) -> Article:
    link = f"javascript:fire()//{number}" if number % 2 else f"https://x.example/{number}/{vector}"
    return Article(
        link_md5=link_md5(link),
        link=link,
        title=vector,
        author=vector,
        body=f"<p>{number}</p>{vector}",
        found_ms=STARTED,
    )
