"""The contract of the record: its keys and types at every level, and what always holds."""

from typing import Any, cast

UPLOADS = {"*": int}
RESULT = {
    "code": int,
    "isDone": bool,
    "source": str,
    "sourceStatusCode": int,
    "destWidth": int,
    "destHeight": int,
    "fixedGithubDest": str,
    "sourceBytes": int,
    "destBytes": int,
    "targetWebpQuality": int,
    "feedId": int,
    "totalSpendMs": int,
    "convertSpendMs": int,
    "createdTime": str,
    "host": str,
    "referer": str,
    "linkMd5ListStr": str,
    "githubUser": str,
    "githubHttpCode": int,
    "extra22GetBytesInfo": str,
    "extra23historyStatusCode": [int],
    "sourceSize": str,
    "destSize": str,
    "compressRate": str,
}
ARTICLE = {
    "createdTime": str,
    "updatedTime": str,
    "title": str,
    "link": str,
    "description": str,
    "descriptionType": str,
    "publishedDate": str,
    "feedId": int,
    "bgimg": (str, None),
    "linkMd5": str,
    "bgimgJsdelivr": (str, None),
    "destWidth": int,
    "destHeight": int,
    "sourceBytes": int,
    "destBytes": int,
    "author": str,
    "articleImgCdnMap": {"*": str},
    "publishedOrCreatedDate": int,
}
RECORD = {
    "code": int,
    "isDone": bool,
    "toInsertArticleList": [ARTICLE],
    "record": {
        "createdTime": str,
        "updatedTime": str,
        "feedId": int,
        "fetchDate": str,
        "fetchMs": int,
        "handleMs": int,
        "totalMs": int,
        "newArticles": int,
        "totalArticles": int,
        "status": int,
        "type": int,
        "ip": str,
        "hostName": str,
        "requestId": str,
        "contentType": str,
        "totalBytes": int,
        "bgimgsTotal": int,
        "bgimgsGithubTotal": int,
        "articlesImgsTotal": int,
        "articlesImgsGithubTotal": int,
        "successGithubMap": UPLOADS,
        "failGithubMap": UPLOADS,
    },
    "feed": {
        "createdTime": str,
        "updatedTime": str,
        "id": int,
        "name": str,
        "url": str,
        "subscriber": int,
        "website": (str, None),
        "icon": (str, None),
        "icon_jsdelivr": (str, None),
        "description": str,
        "weekly": (int, None),
        "link": str,
    },
    "noPictureArticleList": [ARTICLE],
    "tmpCommonImgCdnBytes": int,
    "tmpBodyImgCdnBytes": int,
    "tmpBgImgCdnBytes": int,
    "extra4": {"start": int, "total": int, "statList": [{"spend": int, "msg": str}]},
    "extra5": int,
    "extra6": int,
    "extra7ImgCdnFailResultVector": [RESULT],
    "extra10_invalidATagHrefValue": {"*": int},
    "extra111_proxyServerAndStatMap": {"*": {"failCount": int, "successCount": int, "resultList": [int]}},
    "extra12ImgCdnSuccessResultVector": [RESULT],
    "successGithubMap": UPLOADS,
    "failGithubMap": UPLOADS,
}


def check_keys(tree: Any, value: Any, path: str = "record") -> None:
    """Assert that the value has exactly the tree's keys, in its order, and its types, at every level."""
    if isinstance(tree, dict):
        check_object(cast("dict[str, Any]", tree), value, path)
    elif isinstance(tree, list):
        assert isinstance(value, list), path
        for inner in cast("list[Any]", value):
            check_keys(tree[0], inner, f"{path}[]")
    elif isinstance(tree, tuple):
        assert value is None or type(value) is tree[0], path
    else:
        assert type(value) is tree, path


def check_object(tree: dict[str, Any], value: dict[str, Any], path: str) -> None:
    if "*" not in tree:
        assert list(value) == list(tree), path
    for key, inner in value.items():
        check_keys(tree.get("*", tree.get(key)), inner, f"{path}.{key}")


def check_identities(made: dict[str, Any]) -> None:
    mirrored_images, failures = made["extra12ImgCdnSuccessResultVector"], made["extra7ImgCdnFailResultVector"]
    figures = made["record"]
    parts = made["tmpCommonImgCdnBytes"] + made["tmpBodyImgCdnBytes"] + made["tmpBgImgCdnBytes"]
    assert parts == figures["totalBytes"]
    assert figures["totalBytes"] == sum(image["destBytes"] for image in mirrored_images)
    assert len(mirrored_images) == made["extra6"]
    assert made["extra6"] == figures["articlesImgsGithubTotal"]
    assert len(failures) + made["extra6"] == made["extra5"]
    assert figures["articlesImgsTotal"] == made["extra5"]
    assert made["successGithubMap"] == figures["successGithubMap"]
    assert made["failGithubMap"] == figures["failGithubMap"]
    urls = {image["fixedGithubDest"] for image in mirrored_images}
    for each in made["toInsertArticleList"] + made["noPictureArticleList"]:
        assert set(each["articleImgCdnMap"].values()) <= urls
