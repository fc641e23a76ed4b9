"""Every link in what we write leads to the web or to a mailbox, and says where; judged by markdown-it-py."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.slack.reply.links import true_label
from bot.slack.reply.safe import SafeText

MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
MARKDOWN.validateLink = lambda url: True  # type: ignore[method-assign]
_BANK = re.compile(r"bank\W{0,2}com|b\wnk\.com|10\.0\.0\.1", re.I)

_TARGETS = [
    "https://evil.example/a_(b)",
    "https://evil.example",
    "https://bank.com@evil.example/x",
    "mailto:a@evil.example",
]
_BAD_TARGETS = [
    "javascript:alert(1)",
    "data:text/html,x",
    "slack://open",
    "//evil.example",
    "&#106;avascript:a",
    "file:///x",
]
_LABELS = [
    "bank.com",
    "`bank.com`",
    "[bank.com]",
    r"bank\.com",
    "bank．com",
    "bаnk.com",
    "https://bank.com/x",
    "10.0.0.1",
    "x",
]
_LABELS += [
    "bank&#46;com",
    "**bank**.com",
    "a\nbank.com",
    "bank.com\nb",
    "<b>bank.com",
    "ba\u200bnk.com",
    r"a\]bank.com",
]
_SCRAPS = [
    "`",
    "``",
    "[",
    "]",
    "(",
    ")",
    "\\",
    "!",
    "\n",
    "\n\n",
    " ",
    "> ",
    "- ",
    "x",
    "]: ",
    "[1]",
    "[bank.com]",
    "<",
    ">",
]


@st.composite
def _links(draw: st.DrawFn) -> str:
    label = draw(st.sampled_from(_LABELS))
    target = draw(st.sampled_from([*_TARGETS, *_BAD_TARGETS]))
    name = draw(st.sampled_from(["1", "a\\]b", "x\ny", label]))
    return draw(
        st.sampled_from(
            [
                f"[{label}]({target}) ",
                f"[{label}](<{target}>) ",
                f'![{label}]({target} "t") ',
                f"[{label}][{name}] ",
                f"[{label}] ",
                f"\n\n[{name}]: {target}\n\n",
                f"\n\n> [{name}]:\n> {target}\n\n",
                f"<{target}> ",
                f"<{target}|{label}> ",
            ]
        )
    )


def links_of(tokens: list[Token] | None) -> list[tuple[str, str]]:
    """Target and visible text of each link and image."""
    found: list[tuple[str, str]] = []
    href, text = "", ""
    for token in tokens or []:
        if token.type == "inline":
            found += links_of(token.children)
        elif token.type == "link_open":
            href, text = str(token.attrs["href"]), ""
        elif token.type == "link_close":
            found.append((href, text))
        elif token.type == "image":
            found.append((str(token.attrs["src"]), token.content))
        elif token.type == "softbreak":
            text += " "
        else:
            text += token.content
    return found


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(_links(), st.sampled_from(_SCRAPS)), min_size=1, max_size=9).map("".join))
def test_every_link_leads_where_it_may_and_says_where(text: str) -> None:
    safe = SafeText()
    written = "".join([*safe.feed(text), *safe.finish()])
    for target, label in links_of(MARKDOWN.parse(written)):
        assert target.startswith(("https://", "mailto:")), (target, written)
        seen = unicodedata.normalize("NFKC", label.replace("\u200b", ""))
        if _BANK.search(seen):
            host = urlsplit(target).hostname or target.rpartition("@")[2]
            assert host in seen, (target, label, written)


def test_a_source_keeps_its_title_and_names_its_host() -> None:
    assert true_label("bank.com", "https://evil.example/x") == "bank.com (evil.example)"
    assert true_label("Locks, help.example.com", "https://help.example.com/x") == "Locks, help.example.com"
