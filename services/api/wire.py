"""The record as it goes over the wire: the names, nesting, order and types are a contract with its consumers.

`docs/record.md` says what each field means and in which unit.
"""

import msgspec
from msgspec import field


class RecordArticle(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An article that the poll found."""

    created_time: str
    updated_time: str
    title: str
    link: str
    body: str = field(name="description")
    body_type: str = field(name="descriptionType")
    published: str = field(name="publishedDate")
    feed_id: int
    cover: str | None = field(name="bgimg")
    link_md5: str
    cover_url: str | None = field(name="bgimgJsdelivr")
    width: int = field(name="destWidth")
    height: int = field(name="destHeight")
    source_bytes: int
    rendition_bytes: int = field(name="destBytes")
    author: str
    urls: dict[str, str] = field(name="articleImgCdnMap")  # source URL → CDN URL
    published_or_created_ms: int = field(name="publishedOrCreatedDate")


class PollFigures(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the poll cost and brought."""

    created_time: str
    updated_time: str
    feed_id: int
    fetch_date: str
    fetch_ms: int
    handle_ms: int
    total_ms: int
    new_articles: int
    total_articles: int
    status: int
    asked: int = field(name="type")
    address_md5: str = field(name="ip")
    fetcher: str = field(name="hostName")
    request_id: str
    content_type: str
    total_bytes: int
    covers: int = field(name="bgimgsTotal")
    covers_mirrored: int = field(name="bgimgsGithubTotal")
    images: int = field(name="articlesImgsTotal")
    images_mirrored: int = field(name="articlesImgsGithubTotal")
    uploads: dict[str, int] = field(name="successGithubMap")  # storage account → number
    failed_uploads: dict[str, int] = field(name="failGithubMap")


class RecordFeed(msgspec.Struct, frozen=True, kw_only=True):
    """The feed as known after this poll."""

    created_time: str = field(name="createdTime")
    updated_time: str = field(name="updatedTime")
    id: int
    name: str
    url: str
    subscriber: int
    website: str | None
    icon: str | None
    icon_url: str | None = field(name="icon_jsdelivr")
    description: str
    weekly: int | None
    link: str


class Stage(msgspec.Struct, frozen=True):
    """How long one stage took."""

    ms: int = field(name="spend")
    text: str = field(name="msg")


class Stages(msgspec.Struct, frozen=True, kw_only=True):
    """The poll's stages."""

    start: int  # epoch ms
    total: int  # ms
    stages: list[Stage] = field(name="statList")


class ImageResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How one image was settled."""

    code: int
    known: bool = field(name="isDone")
    source: str
    source_status_code: int
    width: int = field(name="destWidth")
    height: int = field(name="destHeight")
    url: str = field(name="fixedGithubDest")
    source_bytes: int
    rendition_bytes: int = field(name="destBytes")
    quality: int = field(name="targetWebpQuality")
    feed_id: int
    total_ms: int = field(name="totalSpendMs")
    convert_ms: int = field(name="convertSpendMs")
    created_time: str
    transcoder: str = field(name="host")
    referer: str
    link_md5s: str = field(name="linkMd5ListStr")
    account: str = field(name="githubUser")
    http_code: int = field(name="githubHttpCode")
    way: str = field(name="extra22GetBytesInfo")
    statuses: list[int] = field(name="extra23historyStatusCode")
    source_size: str
    rendition_size: str = field(name="destSize")
    rate: str = field(name="compressRate")


class InstanceWork(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one transcoder instance did for the poll."""

    fail_count: int
    success_count: int
    result_list: list[int]  # HTTP status of the image's last attempt; 0: no answer


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """All of a poll."""

    code: int
    done: bool = field(name="isDone")
    articles: list[RecordArticle] = field(name="toInsertArticleList")
    figures: PollFigures = field(name="record")
    feed: RecordFeed
    without_images: list[RecordArticle] = field(name="noPictureArticleList")
    common_bytes: int = field(name="tmpCommonImgCdnBytes")
    body_bytes: int = field(name="tmpBodyImgCdnBytes")
    cover_bytes: int = field(name="tmpBgImgCdnBytes")
    stages: Stages = field(name="extra4")
    images: int = field(name="extra5")
    images_mirrored: int = field(name="extra6")
    failed: list[ImageResult] = field(name="extra7ImgCdnFailResultVector")
    invalid_hrefs: dict[str, int] = field(name="extra10_invalidATagHrefValue")
    transcoders: dict[str, InstanceWork] = field(name="extra111_proxyServerAndStatMap")
    mirrored: list[ImageResult] = field(name="extra12ImgCdnSuccessResultVector")
    uploads: dict[str, int] = field(name="successGithubMap")
    failed_uploads: dict[str, int] = field(name="failGithubMap")
