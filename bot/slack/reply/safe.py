"""Model output made safe to show, piece by piece: neutralised and redacted. Pure; cost grows with what is new.

Text is settled line by line: a line is made safe once, when it is complete. The last, incomplete line is made safe
anew on each look, without its last word, which may yet turn out to be half a secret or half a mention.
"""

from __future__ import annotations

import re

from bot.redact import HIDDEN, redact

_LONGEST_LINE = 4_000
"""Characters after which a line without an end is settled up to its last space."""
_BREAK = "\u200b"
"""Zero-width space: invisible, and Slack's parser no longer sees what it parts."""

_SLACK_SIGN = re.compile(r"<(?=[@!#])")
_BROADCAST = re.compile(r"@(?=(?:channel|here|everyone|group)\b)", re.I)
_LINK_TARGET = re.compile(r"\](?=\(\s*<?\s*(?!https?://|mailto:))", re.I)
_REFERENCE = re.compile(r"^(\s{0,3}\[[^\]]*\]):(?=\s*<?\s*(?!https?://|mailto:|\s)[a-z&])", re.I)
_AUTOLINK = re.compile(r"<(?=[a-z][a-z0-9+.&#;-]*:)(?!https?://|mailto:)", re.I)
_SLACK_LINK = re.compile(r"<((?:https?://|mailto:)[^\s|>]+)\|[^>\n]*>", re.I)
_IMAGE = re.compile(r"!(?=\[[^\]]*\]\()")
_DISGUISED = re.compile(r"\[([^\]\[]*)\]\(\s*<?(https?://[^\s)>]+)>?(?:\s+[\"'(][^)\n]*)?\s*\)", re.I)
_HOST_IN_TEXT = re.compile(r"(?:https?://)?((?:[a-z0-9-]+\.)+[a-z]{2,})(?:[/:?#]|\s|$)", re.I)
_HOST = re.compile(r"https?://(?:[^/@\s]*@)?([^/:?#\s]+)", re.I)
_FENCE = re.compile(r"^\s{0,3}(`{3,}|~{3,})")
_CODE_SPAN = re.compile(r"(`+)(?:.+?)\1")
_LAST_WORD = re.compile(r"[\x21-\x7e]+$")
_KEY_ID = re.compile(r"\bLTAI[A-Za-z0-9]{8,}")
_BARE_SECRET = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{30}(?![A-Za-z0-9])")
_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PEM_END = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")


def neutralise(text: str, *, code: bool = False) -> str:
    """Markdown that can neither ping nor link to anything but http, https and mailto.

    Mentions are broken everywhere, since Slack honours them in code as well; links only outside of code, where a
    changed character would spoil what somebody copies. A link whose text names another host than it leads to gets
    its true host as text.
    """
    text = _BROADCAST.sub("@" + _BREAK, _SLACK_SIGN.sub("<" + _BREAK, text))
    if code:
        return text
    parts = []
    end = 0
    for span in _CODE_SPAN.finditer(text):
        parts += [_links(text[end : span.start()]), span.group()]
        end = span.end()
    return "".join([*parts, _links(text[end:])])


def literal(text: str) -> str:
    """Redacted text for places Slack takes literally (rich_text_preformatted)."""
    return redact(text)


def mrkdwn(text: str) -> str:
    """Redacted, neutralised text for mrkdwn: the three characters Slack parses are escaped."""
    text = redact(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _BROADCAST.sub("@" + _BREAK, text)


def _links(text: str) -> str:
    text = _SLACK_LINK.sub(r"<\1>", text)
    text = _AUTOLINK.sub("<" + _BREAK, text)
    text = _IMAGE.sub("", text)
    text = _DISGUISED.sub(_honest, text)
    text = _LINK_TARGET.sub("]" + _BREAK, text)
    return _REFERENCE.sub(r"\1" + _BREAK + ":", text)


def _honest(link: re.Match[str]) -> str:
    label, target = link.groups()
    named, actual = _HOST_IN_TEXT.search(label), _HOST.match(target)
    if named and actual and named.group(1).lower() != actual.group(1).lower():
        return f"[{actual.group(1)}]({target})"
    return link.group()


class SafeText:
    """Markdown growing at its end, readable only in its safe form."""

    def __init__(self) -> None:
        self._raw = ""
        self._fence = ""
        self._pem = False
        self._secret_follows = 0

    def feed(self, delta: str) -> list[str]:
        """Take more raw text; returns the safe lines it completed, each with its newline."""
        self._raw += delta
        if "\n" not in delta and len(self._raw) < _LONGEST_LINE:
            return []
        *lines, self._raw = self._raw.split("\n")
        settled = [self._line(line) + "\n" for line in lines]
        while len(self._raw) >= _LONGEST_LINE:
            cut = self._raw.rfind(" ", 0, _LONGEST_LINE) + 1 or _LONGEST_LINE
            settled.append(self._line(self._raw[:cut]))
            self._raw = self._raw[cut:]
        return settled

    def finish(self) -> list[str]:
        """The text is complete: the last line, if it had no newline."""
        rest, self._raw = self._raw, ""
        return [self._line(rest)] if rest else []

    def tail(self) -> str:
        """The incomplete last line as far as it can be shown: not its last word, nor half a table row."""
        if self._pem or not self._raw or self._raw.lstrip().startswith(("|", "```", "~~~")):
            return ""
        shown = _LAST_WORD.sub("", self._raw)
        if not shown.strip():
            return ""
        state = (self._fence, self._pem, self._secret_follows)
        safe = self._line(shown)
        self._fence, self._pem, self._secret_follows = state
        return safe

    def _line(self, line: str) -> str:
        if self._pem:
            self._pem = not _PEM_END.search(line)
            return ""
        begins = _PEM_BEGIN.search(line)
        if begins and not _PEM_END.search(line):
            self._pem = True
            line = line[: begins.start()] + HIDDEN
        fence = _FENCE.match(line)
        in_code = bool(self._fence)
        if fence:
            in_code = True
            if not self._fence:
                self._fence = fence.group(1)
            elif fence.group(1).startswith(self._fence) and not line.strip(" `~"):
                self._fence = ""
        # The secret of a key pair has no shape of its own but stands close behind its id.
        if _KEY_ID.search(line):
            self._secret_follows = 3
        if self._secret_follows:
            self._secret_follows -= 1
            line = _BARE_SECRET.sub(HIDDEN, line)
        return neutralise(redact(line), code=in_code)
