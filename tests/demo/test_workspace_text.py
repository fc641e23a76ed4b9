"""Typed text becomes what Slack stores: mentions, links, escapes, and code left alone."""

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.demo.workspace.blocks import block_errors
from bot.demo.workspace.cast import channels, people
from bot.demo.workspace.text import compose, compose_command, mentions, rich_text

PEOPLE = people()


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("@das why?", "<@U0DASBOT01> why?"),
        ("@DAS, why?", "<@U0DASBOT01>, why?"),
        ("@das为什么慢", "<@U0DASBOT01>为什么慢"),
        ("hi @王芳 and @ana.", "hi <@U0WANG0001> and <@U0ANA00001>."),
        ("@dash is nobody", "@dash is nobody"),
        ("ana@das.example", "ana@das.example"),
        ("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d"),
        ("<@U0DASBOT01> ready-made", "<@U0DASBOT01> ready-made"),
        ("<script>", "&lt;script&gt;"),
        ("see https://example.com/a?b=1&c=2.", "see <https://example.com/a?b=1&amp;c=2>."),
        ("`@das` and ```\n@ana <x>\n```", "`@das` and ```\n@ana &lt;x&gt;\n```"),
        ("<!here> look", "<!here> look"),
    ],
)
def test_compose(typed: str, stored: str) -> None:
    assert compose(typed, PEOPLE) == stored


@given(st.text(alphabet=st.characters(exclude_characters="@<>:`", exclude_categories=["Cs"])))
def test_text_without_markup_survives_the_way_there_and_back(typed: str) -> None:
    assert html.unescape(compose(typed, PEOPLE)) == html.unescape(typed.replace("&", "&amp;"))


def test_command_text_is_escaped_when_declared_so() -> None:
    typed = "@ana in #db-ops or #nowhere <now>"
    expected = "<@U0ANA00001> in <#C0DBOPS001|db-ops> or #nowhere &lt;now&gt;"
    assert compose_command(typed, PEOPLE, channels()) == expected


def test_a_mention_inside_code_is_none() -> None:
    assert mentions("<@U0DASBOT01> x", "U0DASBOT01")
    assert not mentions("`<@U0DASBOT01>` x", "U0DASBOT01")


@given(
    st.text(alphabet="ab <>&`@#!\n数|:/.", min_size=1).filter(str.strip)
    | st.text(min_size=1).filter(str.strip)
)
def test_the_rich_text_of_any_message_is_well_formed(typed: str) -> None:
    assert block_errors(rich_text(compose(typed, PEOPLE))) == []


def test_rich_text_tells_mentions_from_code() -> None:
    (block,) = rich_text(
        compose("@das see `<@U0DASBOT01>` & https://example.com/?a=1&b=2\n```\nx < y\n```", PEOPLE)
    )
    section, preformatted = block["elements"]
    assert section["elements"] == [
        {"type": "user", "user_id": "U0DASBOT01"},
        {"type": "text", "text": " see "},
        {"type": "text", "text": "<@U0DASBOT01>", "style": {"code": True}},
        {"type": "text", "text": " & "},
        {"type": "link", "url": "https://example.com/?a=1&b=2"},
        {"type": "text", "text": "\n"},
    ]
    assert preformatted["elements"] == [{"type": "text", "text": "x < y"}]
