"""What is code stays code and what is prose stays prose, however an answer is cut; judged by markdown-it-py."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.slack.reply.pages import Pages
from bot.slack.reply.safe import SafeText
from bot.slack.reply.sizes import cost
from bot.slack.reply.structure import Structure

MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_WORD = re.compile(r"w\d+w")


def kinds(text: str) -> dict[str, str]:
    """For each word of a document whether it is code or prose."""
    found: dict[str, str] = {}
    for token in MARKDOWN.parse(text):
        if token.type in ("fence", "code_block", "inline"):
            kind = "prose" if token.type == "inline" else "code"
            found |= dict.fromkeys(_WORD.findall(token.content), kind)
    return found


def pages_of(text: str, capacity: int) -> list[str]:
    safe, pages = SafeText(), Pages()
    for line in [*safe.feed(text), *safe.finish()]:
        pages.add(line, capacity)
    return [*pages.sealed, pages.text()]


def numbered(text: str) -> str:
    """A document with each w turned into a word of its own."""
    count = itertools.count()
    return re.sub("w", lambda _: f"w{next(count)}w", text)


_LINES = st.integers(1, 25)
_MARKS = ["", "- ", "* ", "1. ", "2) ", "> ", "> - ", "- > ", "1. - ", "> > ", "  - "]


@st.composite
def _parts(draw: st.DrawFn) -> str:
    """A paragraph, list, table, quote or code, perhaps inside of quotes and lists."""
    mark, many = draw(st.sampled_from(_MARKS)), draw(_LINES)
    inside = "".join(sign if sign in "> " else " " for sign in mark)
    fence = draw(st.sampled_from(["```", "```sql", "~~~", "````md", "~~~~"]))
    sign = fence.rstrip("sqlmd")
    body = draw(
        st.sampled_from(
            [
                ["w w w"] * many,
                [fence, *["w w"] * many, sign],
                [fence, "w", "", "- w", *["    w"] * many, sign],
                [fence, *["w"] * many],
                ["````", "```", *["w"] * many, "````"],
                ["| w | w |", "|---|---|", *["| w | w |"] * many],
                ["w", "", *["    w"] * many],
                ["w", *["w", ""] * many],
                ["- w", *["  - w", "    w"] * many],
                ["w", "- w", "  ```", *["  w"] * many, "  ```", "w"],
                [f"{n}. w" for n in range(1, many + 1)],
                ["# w", "w", "---", "w ```w``` w"],
            ]
        )
    )
    first, *rest = body
    is_lazy = draw(st.booleans()) and draw(st.booleans())
    lines = [mark + first, *[(line if is_lazy else inside + line).rstrip(" ") for line in rest]]
    return numbered_end(lines, draw(st.booleans()))


def numbered_end(lines: list[str], is_apart: bool) -> str:
    """The lines, with an empty one behind them when what follows stands apart."""
    return "\n".join([*lines, "", ""] if is_apart else [*lines, ""])


_documents = st.lists(_parts(), min_size=1, max_size=6).map("".join).map(numbered)


@settings(deadline=None, max_examples=150)
@given(_documents, st.sampled_from([250, 400, 900]))
def test_no_word_changes_between_code_and_prose(text: str, capacity: int) -> None:
    wanted = kinds(text)
    seen: set[str] = set()
    for page in pages_of(text, capacity):
        for word, kind in kinds(page).items():
            assert kind == wanted.get(word, kind), (word, page)
            seen.add(word)
    assert seen >= set(wanted)


_SCRAPS = [
    "word",
    "- ",
    "* ",
    "1. ",
    "2. ",
    "  ",
    "    ",
    "   ",
    "> ",
    ">",
    "```",
    "```sql",
    "~~~",
    "````",
    "# h",
    "---",
]


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.lists(st.sampled_from([*_SCRAPS, "a", "10) ", "***", "`a`"]), max_size=4).map("".join), max_size=7
    )
)
def test_code_is_known_as_commonmark_knows_it(lines: list[str]) -> None:
    # The judge takes a sign behind four spaces for a quote that goes on. CommonMark does not: the test below.
    assume(not any("    >" in line for line in lines))
    code: set[int] = set()
    for token in MARKDOWN.parse("\n".join(lines)):
        if token.type in ("fence", "code_block") and token.map:
            code |= set(range(*token.map))
    structure = Structure()
    for number, line in enumerate(lines):
        read = structure.take(line + "\n")
        if line.strip(" >"):
            assert (read.is_fenced or read.is_indented) == (number in code), (number, line)


@pytest.mark.parametrize(("quote", "is_code"), [("> \n", True), ("> word\n", False)])
def test_a_sign_behind_four_spaces_begins_no_quote(quote: str, is_code: bool) -> None:
    """Nor does it go on with one: it is code, or the paragraph's next line where one is open."""
    structure = Structure()
    structure.take(quote)
    assert structure.take("    > word\n").is_indented is is_code


@pytest.mark.parametrize(
    ("opener", "inside", "again"),
    [
        ("- ```sql", "  ", "```sql\n"),
        ("1. ```sql", "   ", "```sql\n"),
        ("> ```", "> ", "> ```\n"),
        ("> - ~~~~", ">   ", "> ~~~~\n"),
        ("- > ```", "  > ", "> ```\n"),
    ],
)
def test_code_behind_the_signs_of_lists_and_quotes_is_closed_and_opened_again(
    opener: str, inside: str, again: str
) -> None:
    sign = opener.strip("-1. >").removesuffix("sql")
    code = "".join(f"{inside}SELECT {n} FROM t;\n" for n in range(40))
    first, second, *_, last = pages_of(f"Do:\n\n{opener}\n{code}{inside}{sign}\n\nThen w1w.\n", 400)
    assert first.endswith(f"\n{inside}{sign}") and second.startswith(again)
    assert kinds(last) == {"w1w": "prose"} and last.endswith("\n\nThen w1w.")


def test_a_paragraph_of_a_list_is_no_code_on_the_next_page() -> None:
    text = "1. First\n\n" + "".join(f"    w{n}w " + "of the first step " * 5 + "\n\n" for n in range(30))
    pages = pages_of(text, 600)
    assert len(pages) > 3
    assert {kind for page in pages for kind in kinds(page).values()} == {"prose"}


@pytest.mark.parametrize(
    "text",
    [
        # Code that its list ends, on a page where the list did not begin.
        "- ```\n" + "  w\n" * 60 + "w w\n",
        "> ```\n" + "> w\n" * 60 + "w w\n",
        # A paragraph whose lines are indented as code would be.
        "w\n" + "      w w w\n" * 60,
        "- w\n" + "        w w w\n" * 60,
        # A list that goes on where a paragraph would not let it begin.
        "1. w\n" + "   w w w\n" * 60 + "2. ```\n   w\n   ```\n3. w\n",
    ],
)
@pytest.mark.parametrize("capacity", [150, 230, 310, 390])
def test_what_goes_on_over_pages_stays_what_it_is(text: str, capacity: int) -> None:
    text = numbered(text)
    seen = {word: kind for page in pages_of(text, capacity) for word, kind in kinds(page).items()}
    assert seen == kinds(text)


def test_a_table_in_a_quote_is_one_on_every_page() -> None:
    rows = "".join(f"> | w{n}w | {n} |\n" for n in range(60))
    pages = pages_of(f"> | a | b |\n> |---|---|\n{rows}", 400)
    assert len(pages) > 2 and all(page.startswith("> | a | b |\n> |---|---|\n> | w") for page in pages)


def test_half_a_row_of_a_table_in_a_quote_is_not_shown() -> None:
    pages = Pages()
    for line in ["> | a | b |\n", "> |---|---|\n"]:
        pages.add(line, 1_000)
    assert pages.text("> | 1 ", 1_000) == "> | a | b |\n> |---|---|"


@pytest.mark.parametrize("sign", ["```", "~" * 64, "> ```"])
def test_a_page_has_room_for_what_closes_the_code_that_begins_at_its_end(sign: str) -> None:
    for before in range(20, 200):
        assert max(map(cost, pages_of("w" * before + f"\n{sign}\n", 200))) <= 200


@pytest.mark.parametrize("capacity", [1_700, 3_000])
@pytest.mark.parametrize(
    "text",
    [
        "`" * 40_000,
        "a\n" + "~" * 5_000 + "\n" + "w w\n" * 500,
        "> " * 1_500 + "```\n" + (">" * 1_500 + " w\n") * 20,
        "> - " * 900 + "w\n" + "| a | b |\n|---|---|\n" * 50,
        "\x1b" * 20_000,
        "```\n" + "\x00" * 20_000,
        "w " * 275 + "| b |\n|---|---|\n" + f"|{'w' * 18}|1|\n" * 400,
    ],
    ids=["backticks", "tildes", "quotes", "quoted lists", "control characters", "the same as code", "rows"],
)
def test_what_a_model_repeats_for_ever_is_cut_into_pages_like_any_text(text: str, capacity: int) -> None:
    pages = pages_of(text, capacity)
    assert len(pages) < 4 + 2 * cost(text) / capacity
    assert max(map(cost, pages)) < capacity + 200  # What closes a page comes on top.
