"""Model output made safe to show, piece by piece: neutralised and redacted. Pure; cost grows with what is new.

Text is settled line by line: a line is made safe once, when it is complete. The last, incomplete line is made safe
anew on each look, without its last word, which may yet turn out to be half a secret or half a mention.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from bot import redact as secrets
from bot.redact import HIDDEN, Columns, cut_short, redact
from bot.secret_shapes import BARE_SECRET, KEY_ID, LONE_WORD, PAIR_NAME, PAIR_VALUE, VALUE_FOLLOWS
from bot.slack.reply.characters import is_first_half, whole_characters, whole_until
from bot.slack.reply.emphasis import beside_cjk, closed
from bot.slack.reply.links import BREAK, honest, scripts_broken
from bot.slack.reply.structure import Structure

_LONGEST_LINE = 4_000
"""Characters after which a line without an end is settled in pieces."""
_CUT_FIRST, _CUT_LAST = 1_000, 2_800
"""Between these such a line is cut: far enough from the end that a secret which begins before is seen whole."""
_CUT_TRIES = 10
"""Spaces tried as the place of a cut, from the last one on."""
_CUT_STEP = 151
"""Characters between the places tried where no space will do. Each try makes what stands before it safe anew."""
_SLACK_SIGN = re.compile(r"<(?=[@!#])")
_BROADCAST = re.compile(r"@(?=(?:channel|here|everyone|group)(?![a-z0-9_-]))", re.I)
_RULE_SIGNS = "|:-=+ \t"
"""A line of these alone may yet become a table's rule, or make a heading of the line above."""
_LAST_WORD = re.compile(
    "[\x21-\x7e\u00ad\u200b-\u200f\u2060\ufeff\uff10-\uff19\uff1d\uff21-\uff3a\uff3f\uff41-\uff5a]+$"
)
"""What may be the beginning of a longer word, in letters of any width."""
_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PEM_END = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
_PEM_BODY = re.compile(r"[A-Za-z0-9+/=\\]*|(?:Proc-Type|DEK-Info|Comment|Version): .*")
_WORD_END = re.compile(r"\S*")


def neutralise(text: str, *, code: bool = False) -> str:
    """A line of Markdown that cannot ping, and links to http, https and mailto alone, saying where it leads.

    Mentions are broken everywhere, since Slack honours them in code as well; links only outside of code, where a
    changed character would spoil what somebody copies.
    """
    text = _BROADCAST.sub("@" + BREAK, _SLACK_SIGN.sub("<" + BREAK, text))
    return scripts_broken(text) if code else honest(text)


def literal(text: str) -> str:
    """Redacted text for places Slack takes literally (rich_text_preformatted)."""
    return redact(whole_characters(text))


def mrkdwn(text: str) -> str:
    """Redacted, neutralised text for mrkdwn: the three characters Slack parses are escaped."""
    return escaped(literal(text))


def escaped(text: str) -> str:
    """The same for text that is redacted already, as a reply's pages are."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _BROADCAST.sub("@" + BREAK, text)


@dataclass(slots=True)
class _State:
    """What the lines so far have opened."""

    structure: Structure = field(default_factory=Structure)
    """Quotes, lists and code still open."""
    columns: Columns = field(default_factory=Columns)
    """A table that is being read."""
    pem: bool = False
    """Inside a private key."""
    value_follows: bool = False
    """The line before named a secret and left its value to this one."""
    pair_follows: bool = False
    """It named one in a pair of JSON."""
    secret_follows: int = 0
    """For how many lines something without a shape may still be the secret of a key named before."""
    mid_line: bool = False
    """What comes next goes on in a line of which a part is settled."""
    hiding: bool = False
    """A secret was too long for its line; what is left of the word belongs to it."""

    def copy(self) -> _State:
        """One that goes on from here on its own."""
        return replace(self, structure=self.structure.copy(), columns=self.columns.copy())


class SafeText:
    """Markdown growing at its end, readable only in its safe form, which does not depend on how it was fed."""

    def __init__(self) -> None:
        self._raw = ""
        self._half = ""
        self._state = _State()

    def feed(self, delta: str) -> list[str]:
        """Take more raw text; returns the safe lines it completed, each with its newline."""
        delta = self._half + delta
        self._half = ""
        if delta and is_first_half(delta[-1]):
            self._half, delta = delta[-1], delta[:-1]
        self._raw += whole_characters(delta)
        if "\n" not in delta and len(self._raw) < _LONGEST_LINE:
            return []
        *lines, self._raw = self._raw.split("\n")
        settled: list[str] = []
        for line in lines:
            rest = self._cut_long(line, settled)
            safe = self._line(rest)
            self._state.mid_line = self._state.hiding = False
            if safe is not None:
                settled.append(safe + "\n")
        self._raw = self._cut_long(self._raw, settled)
        return settled

    def finish(self, *, is_cut: bool = False) -> list[str]:
        """No more will come: the last line, if it had no newline.

        A text that `is_cut` may end with half a secret; then "…" stands for its last word.
        """
        rest = self._raw + whole_characters(self._half)
        if is_cut:
            rest = _LAST_WORD.sub("…", rest) if self._state.secret_follows else cut_short(rest)
        self._raw = self._half = ""
        return [self._line(rest) or ""] if rest else []

    def tail(self, *, is_closed: bool = True) -> str:
        """The incomplete last line as far as it can be shown: not its last word, nor half a table row.

        With `is_closed`, code and bold text that are open at its end are closed there.
        """
        if self._state.pem or not self._raw or self._state.columns.is_open:
            return ""
        content = self._state.structure.copy().take(self._raw).content
        if not self._state.mid_line and content.lstrip().startswith(("|", "```", "~~~")):
            return ""
        if secrets.has_extra():
            return ""  # Nobody knows where a pattern of the operators begins to match.
        shown = _LAST_WORD.sub("", self._raw)
        if not shown.strip(_RULE_SIGNS):
            return ""
        before, self._state = self._state, self._state.copy()
        safe = self._line(shown) or ""
        is_code, self._state = bool(self._state.structure.fence), before
        return closed(safe) if is_closed and not is_code else safe

    def _cut_long(self, line: str, settled: list[str]) -> str:
        """Settle a line that is too long to wait for in pieces; returns what remains of it."""
        while len(line) >= _LONGEST_LINE:
            at = self._place_to_cut(line[:_LONGEST_LINE])
            settled.append(self._line(line[:at]) or "")
            self._state.hiding = self._state.hiding or at == _LONGEST_LINE
            self._state.mid_line = True
            line = line[at:]
        return line

    def _place_to_cut(self, window: str) -> int:
        """Where nothing that has to be made safe stands astride; the end of the window when it is everywhere."""
        code, follows = (
            bool(self._state.structure.fence),
            bool(self._state.secret_follows or KEY_ID.search(window)),
        )

        def safe(text: str) -> str:
            return neutralise(redact(BARE_SECRET.sub(HIDDEN, text) if follows else text), code=code)

        whole = safe(window)
        spaces = [at + 1 for at in range(_CUT_FIRST, _CUT_LAST) if window[at] == " "]
        for at in [*spaces[: -_CUT_TRIES - 1 : -1], *range(_CUT_LAST, _CUT_FIRST, -_CUT_STEP)]:
            place = whole_until(window, at)
            head = safe(window[:place])
            if whole.startswith(head) and head + safe(window[place:]) == whole:
                return place
        return _LONGEST_LINE

    def _line(self, line: str) -> str | None:
        """A line, or a piece of a long one, made safe; None when nothing of it may be seen."""
        state = self._state
        if state.hiding:
            line = line[_WORD_END.match(line).end() :]  # type: ignore[union-attr]
            state.hiding = not line
        if state.pem:
            end = _PEM_END.search(line)
            if end:
                line = line[end.end() :]
            state.pem = not end and bool(_PEM_BODY.fullmatch(line.strip(" \t>|\"'\\,")))
            if state.pem or (end and not line.strip()):
                return None
        begins = _PEM_BEGIN.search(line)
        if begins and not _PEM_END.search(line, begins.end()):
            state.pem = True
            line = line[: begins.start()] + HIDDEN
        was_mid_line, structure = state.mid_line, state.structure
        in_code = bool(structure.fence) if was_mid_line else structure.take(line).is_fenced
        # The secret of a key pair may stand on one of the next lines.
        if KEY_ID.search(line):
            state.secret_follows = 3
        if state.secret_follows:
            state.secret_follows -= 1
            line = BARE_SECRET.sub(HIDDEN, line)
        line = self._value(line)
        if not was_mid_line:
            line = state.columns.line(line)
        safe = neutralise(redact(line), code=in_code)
        return safe if in_code else beside_cjk(safe)

    def _value(self, line: str) -> str:
        """The line, hidden if it is the value of a secret that the line before named; blank lines and fences pass."""
        state = self._state
        if not line.strip() or line.strip(" \t>").startswith(("```", "~~~")):
            return line
        if state.value_follows and (word := LONE_WORD.match(line)):
            line = word[1] + HIDDEN
        elif state.pair_follows and (pair := PAIR_VALUE.match(line)):
            line = line[: pair.start(1)] + HIDDEN + line[pair.end(1) :]
        state.value_follows, state.pair_follows = (
            bool(VALUE_FOLLOWS.search(line)),
            bool(PAIR_NAME.search(line)),
        )
        return line
