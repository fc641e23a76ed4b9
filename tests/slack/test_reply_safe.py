"""Model output made safe: nothing shown at any moment pings, links to a script or holds a secret."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.redact import HIDDEN, also_hide, redact
from bot.slack.reply import safe as module
from bot.slack.reply.safe import SafeText, literal, mrkdwn, neutralise

AK = "LTAI5tFakeFakeFakeFake12"
SK = "abcDEF123ghiJKL456mnoPQR789stu"
PW = "S3cr3t-Hunter2"
PEM_LINE = "MIIEowIBAAKCAQEAfakefakefakefakefake"
SECRETS = [AK, SK, PW, PEM_LINE]
FORBIDDEN = re.compile(
    r"<[!@#]|@(?:channel|here|everyone)\b|\]\(\s*<?\s*(?:javascript|data|vbscript):|<(?:javascript|data):",
    re.I,
)
PIECES = [
    f"| password | {PW} |\n",
    f"\n| user | password |\n|---|---|\n| root | {PW} |\n",
    f"SET PASSWORD FOR 'u'@'h' = '{PW}';\n",
    f"CREATE USER u WITH PASSWORD '{PW}'\n",
    f"mysql -uroot -p'{PW}' ",
    f"mysql --password {PW} -h x\n",
    f"redis-cli AUTH {PW}\n",
    f"requirepass {PW}\n",
    f'{{\n  "name": "password",\n  "value": "{PW}"\n}}\n',
    f"mysql://u:p@{PW}@h/db ",
    f"DB_PASS={PW} ",
    f"secret: |\n  {PW}\n",
    f"密码（root）：{PW} ",
    f"pass\u200bword={PW} ",
    f"LTAI\u200b{AK[4:]} ",
    f"password: {PW} ",
    f"密码：{PW}，",
    f"password:\n{PW}\n",
    f"**Password:**\n\n```\n{PW}\n```\n",
    f"{AK} {SK} ",
    f"{AK}\n{SK}\n",
    f"mysql://u:{PW}@h:3306/db ",
    f'{{"password": "{PW} x", "n": 1}}\n',
    f"-----BEGIN PRIVATE KEY-----\n{PEM_LINE}\n{PEM_LINE}\n-----END PRIVATE KEY-----\n",
    f"xoxb-1234567890-{PW} ",
    f"Authorization: Bearer {PW}\n",
    "<!channel> ",
    "<@U0ALICE001>",
    "<#C0DBOPS001|x>",
    "@here ",
    "@channel\n",
    "@everyone，",
    "[click](javascript:alert(1)) ",
    "[click]( <data:text/html,x>)\n",
    "<javascript:alert(1)>",
    "![i](https://x/y) ",
    "`[x](javascript:1)` ",
    "`` ` [x](javascript:1) ``` ",
    "\n```sql\nSELECT 1 -- @here <!here>\n```\n",
    "    ```\n    x\n    ```\n",
    "plain words ",
    "中文，",
    "| a | b |\n|---|---|\n| 1 | @here |\n",
    "\n",
    "`",
    "😀",
    "word " * 700,
    "x" * 1500,
]
_texts = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


def shown_in_pieces(text: str, cuts: list[int]) -> tuple[str, list[str]]:
    """The final text, and what was to be seen after each piece."""
    safe = SafeText()
    settled = ""
    seen = []
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        settled += "".join(safe.feed(text[begin:end]))
        seen.append(settled + safe.tail())
    return settled + "".join(safe.finish()), seen


@settings(deadline=None, max_examples=60)
@given(_texts, st.data())
def test_nothing_forbidden_is_ever_seen_and_the_end_does_not_depend_on_the_pieces(
    text: str, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=25)))
    final, seen = shown_in_pieces(text, cuts)
    assert final == shown_in_pieces(text, [])[0]
    for moment in [*seen, final]:
        assert not FORBIDDEN.search(moment)
        assert not [secret for secret in SECRETS if secret in moment]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from([p for p in PIECES if len(p) < 80]), min_size=1, max_size=3).map("".join))
@example(f"a {AK} and\n\n{SK} end")
@example(f"password: {PW} ")
def test_every_single_prefix_is_safe(text: str) -> None:
    final, seen = shown_in_pieces(text, list(range(1, len(text))))
    assert final == shown_in_pieces(text, [])[0]
    for moment in seen:
        assert not FORBIDDEN.search(moment)
        # Not even a recognisable part of a secret.
        assert not [secret for secret in SECRETS if secret[:-4] in moment]


@pytest.mark.parametrize(
    "piece", [piece for piece in PIECES if any(s in piece for s in SECRETS) and len(piece) < 80]
)
def test_a_text_that_is_cut_shows_no_recognisable_part_of_a_secret(piece: str) -> None:
    text = f"See {piece}"
    for at in range(1, len(text)):
        safe = SafeText()
        shown = "".join([*safe.feed(text[:at]), *safe.finish(is_cut=True)])
        assert not [secret for secret in SECRETS if secret[:8] in shown]


@pytest.mark.parametrize("before", ["x " * 1390, "x" * 2795, "", "x " * 1999, "y" * 3990])
@pytest.mark.parametrize("secret", [f"password: {PW}", f"{AK} {SK}", f"mysql://u:{PW}@h"])
def test_a_secret_in_a_line_without_end_is_hidden_wherever_the_line_is_cut(before: str, secret: str) -> None:
    text = f"{before} {secret} " + "z " * 2500
    for cuts in ([], list(range(0, len(text), 97))):
        final, seen = shown_in_pieces(text, cuts)
        assert HIDDEN in final
        assert not [s for s in SECRETS for moment in [final, *seen] if s in moment]


def test_a_secret_longer_than_a_line_may_be_is_hidden_to_its_end() -> None:
    text = 'password="' + "s3" * 5000 + '" after'
    final, _ = shown_in_pieces(text, [])
    assert "s3s3" not in final
    assert final.endswith("after")


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.sampled_from(["see emp #4711 now ", "emp #47", "11, ", "中文", "**b ", "\n"]), max_size=6),
    st.data(),
)
def test_what_the_operators_hide_is_in_no_prefix(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    also_hide([r"emp\s#\d+"])
    try:
        final, seen = shown_in_pieces(text, cuts)
    finally:
        also_hide([])
    # Not even its harmless beginning: nobody can know where a foreign pattern becomes telling.
    assert not [moment for moment in [*seen, final] if "emp #" in moment]


@given(st.lists(st.sampled_from(["a", "字", "\ud83d", "\ude00", "😀", "\n", " "]), max_size=12))
def test_half_a_character_is_never_shown_and_two_halves_are_one(pieces: list[str]) -> None:
    safe = SafeText()
    shown = ""
    for piece in pieces:
        shown += "".join(safe.feed(piece))
        (shown + safe.tail()).encode()
    shown += "".join(safe.finish())
    whole = "".join(pieces).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert shown == whole


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("The **lock is held", "The **lock is**"),
        ("The **lock", "The "),
        ("Run `SELECT a from", "Run `SELECT a`"),
        ("Run **`SELECT a from", "Run **`SELECT a`**"),
        ("It is **bold** and more", "It is **bold** and "),
        ("| a | b", ""),
        ("a | b\n--- | -", "a | b\n"),
        ("a < b and <https://x", "a < b and "),
        ("4 ** 2 is", "4 ** 2 "),
        ("see [慢查询文档", "see "),
        ("see [the docs](https://x.y/z", "see "),
        ("take [1] of it", "take [1] of "),
        ("> | a | b", ""),
        ("- ```sql x", ""),
        ("a | b\n--- | ---\n1 | 2 ", "a | b\n--- | ---\n"),
    ],
)
def test_what_is_still_being_written_is_whole_at_every_moment(written: str, seen: str) -> None:
    safe = SafeText()
    assert "".join(safe.feed(written)) + safe.tail() == seen


def test_what_streams_show_only_grows() -> None:
    safe = SafeText()
    text, before = "The **lock is held** by `trx 7` and *nobody* else ", ""
    for sign in text:
        safe.feed(sign)
        assert safe.tail(is_closed=False).startswith(before)
        before = safe.tail(is_closed=False)
    assert before == text


@pytest.mark.parametrize("line", ["Ask your DBA.", "- read it in the vault", "", "```"])
def test_what_follows_the_name_of_a_secret_and_is_no_value_stays(line: str) -> None:
    text = f"Password:\n{line}\n"
    assert shown_in_pieces(text, [])[0] == text


def test_all_that_is_harmless_comes_through_unchanged() -> None:
    text = "# Title\n\nSome *words* and `code[0](x)`.\n\n```sql\nSELECT a[1](b) <x:y> FROM t;\n```\n\n- [Docs](https://x.y/z)\n"
    assert shown_in_pieces(text, [5, 40, 41])[0] == text


@pytest.mark.parametrize(
    "code", [f"```\n{line}\n```\n" for line in ("[a](https://b.c)", "![i](https://x)", "<a:b>")]
)
def test_links_in_code_stay_as_they_are(code: str) -> None:
    assert shown_in_pieces(code, [])[0] == code


def test_mentions_are_broken_in_code_too() -> None:
    assert not FORBIDDEN.search(shown_in_pieces("```\n<!channel> @here\n```\n`<@U1>`", [])[0])


@pytest.mark.parametrize(
    "link",
    [
        "[x](javascript:alert(1))",
        "[x]( JavaScript:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](data:text/html,1)",
        "[x](<javascript:alert(1)>)",
        "[x](vbscript:1)",
        "[x](file:///etc/passwd)",
        "[x](slack://open)",
        "``` `` [x](javascript:1) `",
        "\\`[x](javascript:1) `",
        "bar` [x](javascript:1) `baz",
    ],
)
def test_links_to_anything_but_the_web_are_broken(link: str) -> None:
    assert "](" not in neutralise(link)


@pytest.mark.parametrize("text", ["[x]: javascript:1", "> [x]: data:a", "1. [x]:", "[x]: <javascript:1>"])
def test_definitions_of_links_to_anything_but_the_web_are_broken(text: str) -> None:
    assert not re.search(r"\]:\s*(?:<?(?:javascript|data):|$)", neutralise(text))


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("[bank.com](https://evil.com/a)", "[bank.com (evil.com)](https://evil.com/a)"),
        ("[go to bank.com, now](https://evil.com)", "[go to bank.com, now (evil.com)](https://evil.com)"),
        ("[（bank.com）](https://evil.com)", "[（bank.com） (evil.com)](https://evil.com)"),
        ("[bank.com](https://bank.com@evil.com/x)", "[bank.com (evil.com)](https://bank.com@evil.com/x)"),
        ("[`bank.com`](https://evil.com)", "[`bank.com` (evil.com)](https://evil.com)"),
        ("[[bank.com]](https://evil.com)", "[[bank.com] (evil.com)](https://evil.com)"),
        ("[bank\\.com](https://evil.com)", "[bank\\.com (evil.com)](https://evil.com)"),
        ("[bank．com](https://evil.com)", "[bank．com (evil.com)](https://evil.com)"),
        ("[bаnk.com](https://evil.com)", "[bаnk.com (evil.com)](https://evil.com)"),
        ("[10.0.0.1](https://10.0.0.2)", "[10.0.0.1 (10.0.0.2)](https://10.0.0.2)"),
        ("](https://evil.com)", " (evil.com)](https://evil.com)"),
        ("[bank.com][1]", "[bank.com]\u200b[1]"),
        ("[bank.com]: https://evil.com", "[bank.com]\u200b: https://evil.com"),
        ("[a\\]b]: javascript:alert(1)", "[a\\]b]\u200b: javascript:alert(1)"),
        ("y]: javascript:1", "y]\u200b: javascript:1"),
        ("[a@bank.com](mailto:a@evil.com)", "[a@bank.com (evil.com)](mailto:a@evil.com)"),
        ("[表 shop.orders](https://a.b/c)", "[表 shop.orders (a.b)](https://a.b/c)"),
        ("[Node.js guide](https://a.b/c)", "[Node.js guide](https://a.b/c)"),
        ("[my.cnf, orders.sql](https://a.b/c)", "[my.cnf, orders.sql](https://a.b/c)"),
        ("[docs][1] and xs[0][1]", "[docs][1] and xs[0][1]"),
        ("[1]: https://a.b/c", "[1]: https://a.b/c"),
        ("[www.a.b](https://a.b)", "[www.a.b](https://a.b)"),
        ("[bank.com](https://bank.com/x)", "[bank.com](https://bank.com/x)"),
        ("[the docs](https://a.b/c)", "[the docs](https://a.b/c)"),
        ("[mail](mailto:a@b.c)", "[mail](mailto:a@b.c)"),
        ("<https://evil.com|bank.com>", "<https://evil.com>"),
        ("![alt](https://a.b/c.png)", "[alt](https://a.b/c.png)"),
    ],
)
def test_a_link_says_where_it_leads(link: str, shown: str) -> None:
    assert neutralise(link) == shown
    assert neutralise(shown) == shown


def test_a_private_key_is_gone_and_what_follows_is_not() -> None:
    text = f"Key:\n```\n-----BEGIN PRIVATE KEY-----\n{PEM_LINE}\n-----END PRIVATE KEY-----\n```\nThen do *this*.\n"
    assert shown_in_pieces(text, [])[0] == f"Key:\n```\n{HIDDEN}\n```\nThen do *this*.\n"


def test_a_private_key_without_an_end_does_not_swallow_the_answer() -> None:
    text = f"-----BEGIN PRIVATE KEY-----\n{PEM_LINE}\n\nAnd now the rest of it.\n"
    assert shown_in_pieces(text, [])[0] == f"{HIDDEN}\nAnd now the rest of it.\n"


def test_code_on_one_line_opens_no_fence() -> None:
    safe = SafeText()
    lines = safe.feed("```SELECT 1```\n[x](slack://a)\n")
    assert "](" not in "".join(lines)


def test_the_tail_withholds_half_words_and_rows() -> None:
    safe = SafeText()
    safe.feed("The lock is held by trx")
    assert safe.tail() == "The lock is held by "
    safe.feed("\n| a | b")
    assert safe.tail() == ""


def test_mrkdwn_escapes_and_literal_only_redacts() -> None:
    assert mrkdwn("<!here> & @channel") == "&lt;!here&gt; &amp; @\u200bchannel"
    assert literal(f"<!here> password: {PW}") == f"<!here> password: {HIDDEN}"


@pytest.mark.parametrize("repeated", ["requirepass ", "-----BEGIN PRIVATE KEY-----", "password="])
def test_a_line_without_end_of_which_every_place_is_a_secret_is_not_tried_for_long(
    monkeypatch: pytest.MonkeyPatch, repeated: str
) -> None:
    seen: list[int] = []

    def counted(text: str) -> str:
        seen.append(len(text))
        return redact(text)

    monkeypatch.setattr(module, "redact", counted)
    text = (repeated * 40_000)[:40_000]
    safe = SafeText()
    safe.feed(text)
    safe.finish()
    assert sum(seen) < 26 * len(text)


def test_only_what_is_new_is_made_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 9: characters that go through the patterns, for a text of 2,000 lines."""
    worked_on = 0

    def counting(text: str) -> str:
        nonlocal worked_on
        worked_on += len(text)
        return text

    monkeypatch.setattr(module, "redact", counting)
    safe = SafeText()
    line = "a line of some length, as they come\n"
    for _ in range(2_000):
        safe.feed(line)
        safe.tail()
    assert worked_on == 2_000 * (len(line) - 1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**缺少索引。**它占了 97%", "**缺少索引。**\u200a它占了 97%"),
        ("原因是**“慢查询”**造成的", "原因是\u200a**“慢查询”**\u200a造成的"),
        ("**索引**已建好，**放心。**", "**索引**\u200a已建好，**放心。**"),
        ("把**索引**建好", "把\u200a**索引**\u200a建好"),
        ("`**。**它`", "`**。**它`"),
        ("**bold**, then plain", "**bold**, then plain"),
    ],
)
def test_bold_beside_chinese_punctuation_is_bold(text: str, shown: str) -> None:
    """CommonMark takes a ** between punctuation and a letter for text; a hair space makes it a delimiter."""
    safe = SafeText()
    assert "".join(safe.feed(text + "\n")) == shown + "\n"
