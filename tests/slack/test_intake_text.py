"""Slack's spelling back into what people wrote."""

import html
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.model.question import has_words
from bot.slack.intake import text
from bot.slack.intake.commands import diagnosis

BOT = "U0DASBOT01"


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        (f"<@{BOT}> why?", "why?"),
        (f"<@{BOT}|das>, why?", "why?"),
        (f"<@{BOT}>：为什么慢？", "为什么慢？"),
        (f"hey <@{BOT}> why?", "hey why?"),
        (f"<@{BOT}> <@{BOT}>", ""),
        ("a &lt; b &amp;&amp; c &gt; d", "a < b && c > d"),
        ("&amp;lt;", "&lt;"),
        ("a=1&copy=2&notin=3", "a=1&copy=2&notin=3"),
        ("ask <@U0ANA00001> or <@W0BEN|ben>", "ask @U0ANA00001 or @ben"),
        ("in <#C0DBOPS001|db-ops> and <#C0X>", "in #db-ops and #C0X"),
        ("<!here> <!subteam^S012|@dba> <!subteam^S012>", "@here @dba @subteam^S012"),
        ("<!date^1700000000^{date_num}|2023-11-14>", "2023-11-14"),
        (
            "<http://rm-bp1.mysql.rds.aliyuncs.com|rm-bp1.mysql.rds.aliyuncs.com>",
            "rm-bp1.mysql.rds.aliyuncs.com",
        ),
        ("<https://example.com/a?b=1&amp;c=2>", "https://example.com/a?b=1&c=2"),
        ("see <https://example.com/d/7|the dashboard>", "see the dashboard (https://example.com/d/7)"),
        ("<mailto:ana@example.com|ana@example.com>", "ana@example.com"),
        (f"`SELECT '<@{BOT}>'`", "`SELECT ''`"),
        ("   \n\t ", ""),
    ],
)
def test_plain(stored: str, written: str) -> None:
    assert text.plain(stored, BOT) == written


@given(st.text())
def test_whatever_people_type_comes_out_as_typed(typed: str) -> None:
    assert text.plain(html.escape(typed, quote=False), BOT) == typed.strip()


@given(st.text(alphabet="<>@#!|&;`UWC0DASBOT1 \n^"))
def test_no_text_breaks_it(stored: str) -> None:
    text.plain(stored, BOT)
    assert isinstance(text.is_for_others(stored, BOT), bool)
    assert text.mentions(stored, BOT) <= (f"<@{BOT}" in stored)


@pytest.mark.parametrize(
    "piece",
    [
        *("<@U1|", "<@U0ANA00001> ", "```", "`", "<", "<!subteam^S1|", "<http://x|", "&lt;"),
        *(
            "use rds" + " " * 39_980 + "x",
            "use das ag-" + "x" * 39_980 + " y",
            "rm-bp1abc" + " " * 39_980,
            "a.",
        ),
    ],
    ids=lambda piece: piece[:12],
)
def test_the_longest_message_takes_no_time(piece: str) -> None:
    stored = piece * (40_000 // len(piece))
    began = time.process_time()
    text.plain(stored, BOT)
    text.mentions(stored, BOT)
    text.is_for_others(stored, BOT)
    text.is_stop(stored)
    text.wanted_agent(stored)
    text.unknown_agent(stored)
    has_words(stored)
    diagnosis(stored)
    # A quadratic one takes minutes.
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("stored", "is_mentioned"),
    [
        (f"<@{BOT}> x", True),
        (f"x <@{BOT}|das>", True),
        (f"`<@{BOT}>` x", False),
        (f"```\n<@{BOT}>\n``` x", False),
        (f"`a` <@{BOT}> `b`", True),
        (f"<@{BOT}0> x", False),
        ("@das x", False),
    ],
)
def test_mentions(stored: str, is_mentioned: bool) -> None:
    assert text.mentions(stored, BOT) is is_mentioned


@pytest.mark.parametrize(
    ("stored", "others"),
    [
        ("<@U0ANA00001> look", True),
        ("  <@U0ANA00001>, <@U0BEN00001>: look", True),
        ("<!here> look", True),
        ("<!subteam^S012|@dba> look", True),
        (f"<@U0ANA00001> <@{BOT}> look", False),
        ("what did <@U0ANA00001> say?", False),
        ("<https://example.com> why?", False),
        ("<!date^1^{date}|today> why?", False),
        ("why?", False),
    ],
)
def test_is_for_others(stored: str, others: bool) -> None:
    assert text.is_for_others(stored, BOT) is others


@pytest.mark.parametrize("wish", ["stop", "STOP", "stop.", "Stop !", "cancel", "停", "停止。", "取消！"])
def test_stop_is_a_word_alone(wish: str) -> None:
    assert text.is_stop(wish)
    assert not text.is_stop(f"{wish} the slow query")
    assert not text.is_stop(f"why {wish}")


@pytest.mark.parametrize(
    ("written", "are_there"),
    [
        ("why is it slow?", True),
        ("慢", True),
        ("rm-bp1abc slow", True),
        ("(slow)", True),
        ("slow: 09:40", True),
        ("rm-bp1abc 'slow'!", True),
        ("rm-bp1abc", False),
        ("rm-bp1abc, pc-2zeabc?", False),
        ("10.0.0.1:3306 09:40", False),
        ("https://example.com/slow", False),
        ("？", False),
        ("", False),
    ],
)
def test_whether_a_text_tells_its_language(written: str, are_there: bool) -> None:
    assert has_words(written) is are_there
