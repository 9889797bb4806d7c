"""The record: exactly the contract's keys, its identities, its formats."""

from random import Random
from typing import Any

import msgspec
import pytest

from services.api import record
from services.api.facts import Facts, FeedRow, PollFacts, Settled, Use
from services.api.wording import size, wording
from shared.messages import Article, Attempt, FeedPolled
from tests.api.builders import STARTED, article, failed, mirrored, polled, wanted
from tests.api.contract import RECORD, check_identities, check_keys

REQUEST = "adcbdb573e524023a373ee5d405d1797_1"
ENGLISH = wording("en", "UTC")


def facts(
    event: FeedPolled | None, *articles: Article, settled: tuple[Settled, ...] = (), completed_ms: int = STARTED + 5_000
) -> Facts:
    return Facts(
        poll=PollFacts(
            request_id=REQUEST, feed=1, asked=False, started_ms=STARTED, polled=event, completed_ms=completed_ms
        ),
        feed=FeedRow(id=1, url="http://site.example/feed.xml", created_ms=STARTED, updated_ms=STARTED),
        articles=articles,
        uses=tuple(
            Use(link_md5=it.link_md5, image=image.image, source=image.source, role=image.role)
            for it in articles
            for image in it.images
        ),
        settled={message.image: message for message in settled},
    )


def built(it: Facts, words: str = "en", zone: str = "UTC") -> dict[str, Any]:
    return msgspec.json.decode(record.encode(record.build(it, wording(words, zone), deadline=600)))


def rich() -> Facts:
    first = article("one", wanted("a.gif", "cover"), wanted("a.gif"), wanted("b.png"), wanted("dead.png"))
    second = article("two", wanted("c.jpg", "cover"), wanted("b.png"))
    third = article("three")
    event = polled(REQUEST, first, second, third, invalid_hrefs={"htp:/x": 2})
    return facts(
        event,
        first,
        second,
        third,
        settled=(
            mirrored("a.gif", size=300, settled_ms=STARTED + 4_000, failed_accounts=("local-3",)),
            mirrored("b.png", size=20, account="local-2", created=False, http_code=200),
            mirrored("c.jpg", size=1, account="local-2", settled_ms=STARTED - 1),
            failed("dead.png"),
        ),
    )


def test_the_record_has_exactly_the_contracts_keys_at_every_level() -> None:
    check_keys(RECORD, built(rich()))


def test_a_failed_polls_record_has_the_same_keys_empty_lists_and_its_reason() -> None:
    made = built(facts(polled(REQUEST, ok=False, error="HTTP 500 from site.example", fetch_ms=7)))

    check_keys(RECORD, made)
    assert (
        made["code"],
        made["record"]["status"],
        made["toInsertArticleList"],
        made["noPictureArticleList"],
    ) == (0, 0, [], [])
    assert made["extra4"]["statList"] == [{"spend": 7, "msg": "get the XML: HTTP 500 from site.example"}]


def test_a_poll_that_never_ended_is_failed_and_says_so() -> None:
    made = built(facts(None))

    check_keys(RECORD, made)
    assert "the poll was not finished within 600 s" in made["extra4"]["statList"][0]["msg"]


def test_the_identities_hold() -> None:
    check_identities(built(rich()))


@pytest.mark.parametrize("seed", range(50))
def test_the_identities_hold_whatever_the_facts(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a reproducible draw
    names = [f"{number}.png" for number in range(12)]
    settled: list[Settled] = []
    for name in names:
        outcome = random.choice(("mirrored", "known", "existed", "failed", "open"))
        if outcome == "failed":
            settled.append(failed(name, failed_accounts=("local-9",) * random.randrange(3)))
        elif outcome != "open":
            early = STARTED - 5 if outcome == "known" else STARTED + random.randrange(9_000)
            settled.append(mirrored(name, size=random.randrange(9_999), settled_ms=early, created=outcome != "existed"))
    articles = [
        article(f"a{number}", *(wanted(random.choice(names), random.choice(("body", "cover"))) for _ in range(4)))
        for number in range(5)
    ]
    made = built(facts(polled(REQUEST, *articles), *articles, settled=tuple(settled)))

    check_keys(RECORD, made)
    check_identities(made)


def test_bytes_are_counted_once_by_the_roles_of_the_image() -> None:
    made = built(rich())

    assert (made["tmpCommonImgCdnBytes"], made["tmpBodyImgCdnBytes"], made["tmpBgImgCdnBytes"]) == (300, 20, 1)


def test_uploads_are_those_that_made_an_object_for_this_poll() -> None:
    made = built(rich())

    assert made["successGithubMap"] == {"local-1": 1}
    assert made["failGithubMap"] == {"local-3": 1}


def test_an_image_mirrored_before_the_poll_is_done_already() -> None:
    done = {image["source"][-5:]: image["isDone"] for image in built(rich())["extra12ImgCdnSuccessResultVector"]}

    assert done == {"c.jpg": True, "b.png": False, "a.gif": False}


def test_results_come_in_the_order_in_which_they_finished() -> None:
    made = built(rich())["extra12ImgCdnSuccessResultVector"]

    assert [image["source"][-5:] for image in made] == ["c.jpg", "b.png", "a.gif"]


def test_each_use_of_an_image_names_its_article() -> None:
    one, two = rich().articles[:2]
    links = {
        image["source"][-5:]: image["linkMd5ListStr"] for image in built(rich())["extra12ImgCdnSuccessResultVector"]
    }

    assert f"{one.link_md5},{one.link_md5}" == links["a.gif"]
    assert f"{one.link_md5},{two.link_md5}" == links["b.png"]


def test_the_map_follows_the_body_and_a_cover_that_it_does_not_hold_comes_first() -> None:
    inside = article("in", wanted("b.png", "cover"), wanted("a.gif"), wanted("b.png"))
    outside = article("out", wanted("c.jpg", "cover"), wanted("a.gif"))
    made = built(
        facts(
            polled(REQUEST, inside, outside),
            inside,
            outside,
            settled=(mirrored("a.gif"), mirrored("b.png"), mirrored("c.jpg")),
        )
    )

    orders = [[source[-5:] for source in each["articleImgCdnMap"]] for each in made["toInsertArticleList"]]
    assert orders == [["a.gif", "b.png"], ["c.jpg", "a.gif"]]


def test_an_article_without_images_goes_to_its_own_list() -> None:
    made = built(rich())

    assert [each["title"] for each in made["noPictureArticleList"]] == ["Title of three"]
    assert tuple(made["noPictureArticleList"][0][key] for key in ("bgimg", "bgimgJsdelivr", "destWidth")) == (
        None,
        None,
        0,
    )


def test_a_failed_image_tells_every_attempt_and_the_reason() -> None:
    (failure,) = built(rich())["extra7ImgCdnFailResultVector"]

    assert failure["extra23historyStatusCode"] == [403, 404]
    assert (
        failure["extra22GetBytesInfo"]
        == "1. no referer: HTTP 403; 2. article: HTTP 404; every attempt was answered with an error"
    )


def test_what_the_attempts_have_said_is_not_said_again() -> None:
    attempts = [Attempt(way=way, status=404, reason="it answered HTTP 404") for way in ("no-referer", "article")]
    failure = wording("en", "UTC").failure(attempts, "it answered HTTP 404 (given up after 5 tries)")

    assert failure.count("HTTP 404") == 2
    assert failure.endswith("it answered HTTP 404 (given up after 5 tries)")


def test_an_image_still_open_at_the_deadline_failed_for_that_reason() -> None:
    it = article("one", wanted("slow.png"))
    (failure,) = built(facts(polled(REQUEST, it), it))["extra7ImgCdnFailResultVector"]

    assert failure["extra22GetBytesInfo"] == "not settled within 600 s"


def test_nothing_new_is_done() -> None:
    made = built(facts(polled(REQUEST, unchanged=True, facts=None)))

    assert (made["code"], made["isDone"]) == (1, True)


def test_times_are_in_the_configured_zone_and_the_fetch_date_in_utc() -> None:
    made = built(rich(), "zh-CN", "Asia/Shanghai")

    assert made["record"]["createdTime"] == "2020-09-07 06:08:45"
    assert made["record"]["fetchDate"] == "Sun, 06 Sep 2020 22:08:45 +0000"


def test_chinese_texts_are_the_originals() -> None:
    made = built(rich(), "zh")

    assert [stage["msg"] for stage in made["extra4"]["statList"]] == [
        "获取xml内容",
        "解释文章",
        "上传封面图到cdn",
        "修正封面图上传失败重新上传",
        "正文链接上传到cdn",
    ]
    assert made["extra12ImgCdnSuccessResultVector"][0]["extra22GetBytesInfo"] == "1、没有Referer字段"


def test_the_body_stage_lasts_until_its_last_image() -> None:
    stages = [stage["spend"] for stage in built(rich())["extra4"]["statList"]]

    assert stages == [392, 396, 0, 0, 4_000 - 392 - 396]


def test_transcoders_are_told_apart() -> None:
    assert built(rich())["extra111_proxyServerAndStatMap"] == {
        "transcoder-1": {"failCount": 0, "successCount": 2, "resultList": [200, 200]},
        "transcoder-2": {"failCount": 1, "successCount": 0, "resultList": [404]},
    }


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (2_266_096, "2.2 MB"),
        (265_247, "259 KB"),
        (353_376, "345.1 KB"),
        (7_334_278, "7 MB"),
        (25_183_764, "24 MB"),
        (0, "0 B"),
        (1_023, "1023 B"),
        (1_048_575, "1 MB"),
        (3 * 1024**3, "3 GB"),
    ],
)
def test_sizes_are_told_to_one_decimal_of_1024(count: int, text: str) -> None:
    assert text == size(count)


def test_the_rate_is_a_percentage_of_the_source() -> None:
    it = article("one", wanted("a.gif"), wanted("b.gif"))
    settled = (
        mirrored("a.gif", source_bytes=2_266_096, rendition_bytes=353_376, settled_ms=STARTED + 1),
        mirrored("b.gif", source_bytes=26_539_756, rendition_bytes=1_845_894, settled_ms=STARTED + 2),
    )
    made = built(facts(polled(REQUEST, it), it, settled=settled))

    assert [image["compressRate"] for image in made["extra12ImgCdnSuccessResultVector"]] == ["15.6%", "7%"]


def test_where_the_cover_failed_the_best_candidate_that_is_mirrored_is_the_cover() -> None:
    first, second, third = wanted("dead.png", "cover"), wanted("a.gif"), wanted("b.png")
    covers = tuple(image.image for image in (first, second, third))
    it = article("one", first, second, third, covers=covers)
    made = built(
        facts(polled(REQUEST, it), it, settled=(mirrored("a.gif", size=7), mirrored("b.png"), failed("dead.png")))
    )
    (chosen,) = made["toInsertArticleList"]

    check_identities(made)
    assert (chosen["bgimg"], chosen["destBytes"]) == (second.source, 7)
    assert (made["record"]["bgimgsTotal"], made["record"]["bgimgsGithubTotal"]) == (1, 1)
    assert (made["tmpCommonImgCdnBytes"], made["tmpBodyImgCdnBytes"]) == (7, 1_000)
