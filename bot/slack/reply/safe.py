"""Model output made safe to show, piece by piece: neutralised and redacted. Pure; cost grows with what is new.

Text is settled line by line: a line is made safe once, when it is complete. The last, incomplete line is made safe
anew on each look, without its last word, which may yet turn out to be half a secret or half a mention.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from bot import redact as secrets
from bot.redact import HIDDEN, redact
from bot.secret_shapes import BARE_SECRET, KEY_ID, LONE_WORD, VALUE_FOLLOWS
from bot.slack.reply.characters import is_first_half, whole_characters, whole_until
from bot.slack.reply.emphasis import CODE_SPAN, beside_cjk, closed

_LONGEST_LINE = 4_000
"""Characters after which a line without an end is settled in pieces."""
_CUT_FIRST, _CUT_LAST = 1_000, 2_800
"""Between these such a line is cut: far enough from the end that a secret which begins before is seen whole."""
_CUT_TRIES = 20
"""Spaces tried as the place of a cut, from the last one on."""
_BREAK = "\u200b"
"""Zero-width space: invisible, and Slack's parser no longer sees what it parts."""

_SLACK_SIGN = re.compile(r"<(?=[@!#])")
_BROADCAST = re.compile(r"@(?=(?:channel|here|everyone|group)(?![a-z0-9_-]))", re.I)
_LINK_TARGET = re.compile(r"\](?=\(\s*<?\s*(?!https?://|mailto:))", re.I)
_SCRIPT_TARGET = re.compile(
    r"(?:\](?=\(\s{0,9}<?\s{0,9}(?:javascript|vbscript|data|file|&))|<(?=(?:javascript|vbscript|data|file):))",
    re.I,
)
"""What is broken in code as well: whether something is code, Slack may see otherwise."""
_REFERENCE = re.compile(
    r"^([\s>*+\-\d.)]{0,40}\[[^\]]*\]):(?=\s*<?\s*(?:$|(?!https?://|mailto:)[a-z&]))", re.I
)
_AUTOLINK = re.compile(r"<(?=[a-z][a-z0-9+.&#;-]*:)(?!https?://|mailto:)", re.I)
_SLACK_LINK = re.compile(r"<((?:https?://|mailto:)[^\s|>]+)\|[^>\n]*>", re.I)
_IMAGE = re.compile(r"!(?=\[)")
_DISGUISED = re.compile(r"\[([^\]\[]*)\]\(\s*<?(https?://[^\s)>]+)>?(?:\s*\)|\s+[\"'(][^)\n]*\))", re.I)
_HOST_IN_TEXT = re.compile(r"(?<![\w.-])((?:[a-z0-9-]{1,63}\.){1,9}[a-z]{2,24})(?![\w-]|\.\w)", re.I)
_HOST = re.compile(r"https?://(?:[^/@\s]*@)?([^/:?#\s]+)", re.I)
FENCE = re.compile(r"^(\s*)(`{3,}(?=[^`]*$)|~{3,})(.*)$")
"""A line that opens or closes fenced code, however deep in a list: its indentation, sign, and what follows."""
_RULE_SIGNS = "|:-=+ \t"
"""A line of these alone may yet become a table's rule, or make a heading of the line above."""
_LAST_WORD = re.compile(r"[\x21-\x7e]+$")
_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PEM_END = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
_PEM_BODY = re.compile(r"[A-Za-z0-9+/=\\]*|(?:Proc-Type|DEK-Info|Comment|Version): .*")
_WORD_END = re.compile(r"\S*")


def neutralise(text: str, *, code: bool = False) -> str:
    """Markdown that can neither ping nor link to anything but http, https and mailto.

    Mentions are broken everywhere, since Slack honours them in code as well; links only outside of code, where a
    changed character would spoil what somebody copies. A link whose text names another host than it leads to gets
    its true host as text.
    """
    text = _BROADCAST.sub("@" + _BREAK, _SLACK_SIGN.sub("<" + _BREAK, text))
    if code:
        return _SCRIPT_TARGET.sub(_broken, text)
    parts = []
    end = 0
    for span in CODE_SPAN.finditer(text):
        parts += [_links(text[end : span.start()]), _SCRIPT_TARGET.sub(_broken, span.group())]
        end = span.end()
    return "".join([*parts, _links(text[end:])])


def literal(text: str) -> str:
    """Redacted text for places Slack takes literally (rich_text_preformatted)."""
    return redact(whole_characters(text))


def mrkdwn(text: str) -> str:
    """Redacted, neutralised text for mrkdwn: the three characters Slack parses are escaped."""
    return escaped(literal(text))


def escaped(text: str) -> str:
    """The same for text that is redacted already, as a reply's pages are."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _BROADCAST.sub("@" + _BREAK, text)


def _broken(sign: re.Match[str]) -> str:
    return sign.group() + _BREAK


def _links(text: str) -> str:
    text = _SLACK_LINK.sub(r"<\1>", text)
    text = _AUTOLINK.sub("<" + _BREAK, text)
    text = _IMAGE.sub("", text)
    text = _DISGUISED.sub(_honest, text)
    text = _LINK_TARGET.sub("]" + _BREAK, text)
    return _REFERENCE.sub(r"\1" + _BREAK + ":", text)


def true_label(label: str, target: str) -> str:
    """A link's text; its host instead, when the text names another one."""
    named, actual = _HOST_IN_TEXT.search(label), _HOST.match(target)
    if named and actual and named.group(1).lower() != actual.group(1).lower():
        return actual.group(1)
    return label


def _honest(link: re.Match[str]) -> str:
    label, target = link.groups()
    shown = true_label(label, target)
    return link.group() if shown == label else f"[{shown}]({target})"


@dataclass(slots=True)
class _State:
    """What the lines so far have opened."""

    fence: str = ""
    """The sign of a fence still open."""
    pem: bool = False
    """Inside a private key."""
    value_follows: bool = False
    """The line before named a secret and left its value to this one."""
    secret_follows: int = 0
    """For how many lines something without a shape may still be the secret of a key named before."""
    mid_line: bool = False
    """What comes next goes on in a line of which a part is settled."""
    hiding: bool = False
    """A secret was too long for its line; what is left of the word belongs to it."""


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

    def finish(self) -> list[str]:
        """The text is complete: the last line, if it had no newline."""
        rest = self._raw + whole_characters(self._half)
        self._raw = self._half = ""
        return [self._line(rest) or ""] if rest else []

    def tail(self, *, is_closed: bool = True) -> str:
        """The incomplete last line as far as it can be shown: not its last word, nor half a table row.

        With `is_closed`, code and bold text that are open at its end are closed there.
        """
        if self._state.pem or not self._raw or self._raw.lstrip().startswith(("|", "```", "~~~")):
            return ""
        if secrets.has_extra():
            return ""  # Nobody knows where a pattern of the operators begins to match.
        shown = _LAST_WORD.sub("", self._raw)
        if not shown.strip(_RULE_SIGNS):
            return ""
        before, self._state = self._state, replace(self._state)
        safe = self._line(shown) or ""
        is_code, self._state = bool(self._state.fence), before
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
        code, follows = bool(self._state.fence), bool(self._state.secret_follows or KEY_ID.search(window))

        def safe(text: str) -> str:
            return neutralise(redact(BARE_SECRET.sub(HIDDEN, text) if follows else text), code=code)

        whole = safe(window)
        spaces = [at + 1 for at in range(_CUT_FIRST, _CUT_LAST) if window[at] == " "]
        for at in [*spaces[: -_CUT_TRIES - 1 : -1], *range(_CUT_LAST, _CUT_FIRST, -61)]:
            place = whole_until(window, at)
            if safe(window[:place]) + safe(window[place:]) == whole:
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
        in_code = self._fences(line)
        # The secret of a key pair may stand on one of the next lines.
        if KEY_ID.search(line):
            state.secret_follows = 3
        if state.secret_follows:
            state.secret_follows -= 1
            line = BARE_SECRET.sub(HIDDEN, line)
        line = self._value(line)
        safe = neutralise(redact(line), code=in_code)
        return safe if in_code else beside_cjk(safe)

    def _value(self, line: str) -> str:
        """The line, hidden if it is the value of a secret that the line before named; blank lines and fences pass."""
        state = self._state
        if not line.strip() or FENCE.match(line):
            return line
        if state.value_follows and (word := LONE_WORD.match(line)):
            line = word[1] + HIDDEN
        state.value_follows = bool(VALUE_FOLLOWS.search(line))
        return line

    def _fences(self, line: str) -> bool:
        """Note a fence that begins or ends with this line; returns whether the line is code."""
        state = self._state
        fence = None if state.mid_line else FENCE.match(line)
        if not fence:
            return bool(state.fence)
        if not state.fence:
            state.fence = fence[2]
        elif fence[2].startswith(state.fence) and not fence[3].strip():
            state.fence = ""
        return True
