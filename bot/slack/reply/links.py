"""Links that lead to the web or to a mailbox only, and say where, whatever their text. Pure; reads line by line.

A link's text stays as it is. When it looks like an address, the host it leads to is added, unless that is the one it
names. A definition of a link that does not say where it leads is taken apart, as is any link to somewhere else.
"""

from __future__ import annotations

import html
import re
import unicodedata

from bot.slack.reply.emphasis import CODE_SPAN

BREAK = "\u200b"
"""Zero-width space: invisible, and Slack's parser no longer sees what it parts."""

_TARGET = re.compile(r"\](?=\(\s*<?\s*(?!https?://|mailto:))", re.I)
_SCRIPT_TARGET = re.compile(
    r"(?:\](?=\(\s{0,9}<?\s{0,9}(?:javascript|vbscript|data|file|&))|<(?=(?:javascript|vbscript|data|file):))",
    re.I,
)
"""What is broken in code as well: whether something is code, Slack may see otherwise."""
_AUTOLINK = re.compile(r"<(?=[a-z][a-z0-9+.&#;-]*:)(?!https?://|mailto:)", re.I)
_SLACK_LINK = re.compile(r"<((?:https?://|mailto:)[^\s|>]+)\|[^>\n]*>", re.I)
_IMAGE = re.compile(r"!(?=\[)")
_LINK = re.compile(r"\](?:\(\s*<?\s*((?:https?://|mailto:)[^\s<>)]*)|\[)", re.I)
"""The end of a link's text: its target behind it, or the name of its definition."""
_DEFINED = re.compile(r"(?<!\\)(?:\\\\)*\]:")
_WEB = re.compile(r"\s*<?\s*((?:https?://|mailto:)[^\s<>]+)", re.I)
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_SIGNS = str.maketrans("", "", "`*~<>")
_DOT = re.compile(r"(?<=[a-z0-9])[。｡．․﹒](?=[a-z0-9])", re.I)
_HOST_IN_TEXT = re.compile(
    r"(?<![\w.-])((?:[\w-]{1,63}\.){1,9}[^\W\d_][\w-]{1,62}|(?:\d{1,3}\.){3}\d{1,3})(?![\w-]|\.\w)"
    r"|https?://([^\s/\\?#]{1,200})",
    re.I,
)
_FILE = re.compile(
    r"\.(?:js|cnf|conf|sql|log|ini|json|yaml|yml|xml|csv|txt|html|ibd|frm|err|jar|toml|env|mysql|processlist|tables"
    r"|[^.]*_[^.]*)$"
)
"""What ends the name of a file or a table and is no top-level domain."""
_HOST = re.compile(r"(?i)https?:/*(?:[^/\\?#\s]*@)?([^/\\:?#\s]+)|mailto:[^?\s]*@([^?\s]+)")


def scripts_broken(code: str) -> str:
    """Code in which no link to a script would work, if it were none."""
    return _SCRIPT_TARGET.sub(_broken, code)


def honest(line: str) -> str:
    """A line of Markdown outside of fenced code, its links made to lead where they say."""
    if "[" not in line and "]" not in line and "<" not in line:
        return line
    code = [span.span() for span in CODE_SPAN.finditer(line)]
    line = _SLACK_LINK.sub(
        lambda link: link[0] if any(a <= link.start() < b for a, b in code) else f"<{link[1]}>", line
    )
    parts = []
    end = 0
    for span in CODE_SPAN.finditer(line):
        parts += [_targets(line[end : span.start()]), scripts_broken(span.group())]
        end = span.end()
    return _definitions(_labels("".join([*parts, _targets(line[end:])])))


def true_label(label: str, target: str) -> str:
    """A link's text, with the host it leads to when it looks like another address."""
    host = _host(target)
    if not host or label.endswith(f"({host})") or not _is_disguise(label, host):
        return label
    return f"{label} ({host})"


def _broken(sign: re.Match[str]) -> str:
    return sign.group() + BREAK


def _targets(text: str) -> str:
    text = _AUTOLINK.sub(_broken, text)
    text = _IMAGE.sub("", text)
    return _TARGET.sub(_broken, text)


def _labels(line: str) -> str:
    """Also inside of what looks like code: a span may have begun on a line before, and be none."""
    parts = []
    end = 0
    for link in _LINK.finditer(line):
        label = _label(line, end, link.start())
        target = link[1]
        if target is None:
            # What its definition leads to may be told only later.
            if label is None or _is_disguise(label, ""):
                parts += [line[end : link.start() + 1], BREAK]
                end = link.start() + 1
            continue
        host = _host(target)
        shown = f" ({host})" if label is None else true_label(label, target)[len(label) :]
        if host and shown and not line[end : link.start()].endswith(shown):
            parts += [line[end : link.start()], shown]
            end = link.start()
    return "".join([*parts, line[end:]])


def _label(line: str, begin: int, end: int) -> str | None:
    """The text of the link that ends there; more than it where that is not certain, None when it began before."""
    text = line[begin:end]
    first = text.find("[")
    if first < 0:
        return None
    depth, at = 1, len(text) - 1
    while at >= 0:
        if text[at] in "[]" and not _is_escaped(text, at):
            depth += 1 if text[at] == "]" else -1
            if not depth:
                break
        at -= 1
    if depth:
        return None
    label = text[at + 1 :]
    # Brackets in code do not count, but whether it is code depends on more than this line.
    return text[first + 1 :] if "`" in label and ("[" in label or "]" in label) else label


def _is_escaped(text: str, at: int) -> bool:
    backslashes = 0
    while at > backslashes and text[at - 1 - backslashes] == "\\":
        backslashes += 1
    return backslashes % 2 == 1


def _definitions(line: str) -> str:
    found = _DEFINED.search(line)
    if not found:
        return line
    at = found.end() - 1
    before = line[: at - 1]
    opening = [n for n, sign in enumerate(before) if sign == "[" and not _is_escaped(before, n)]
    if len(opening) > 1 or (opening and before[: opening[0]].strip(" \t>*+-.)0123456789")):
        return line  # Words stand before it: no definition begins there.
    target = _WEB.match(line, at + 1)
    if opening and target and not _is_disguise(before[opening[0] + 1 :], _host(target[1])):
        return line
    return line[:at] + BREAK + line[at:]


def _host(target: str) -> str:
    found = _HOST.match(html.unescape(_ESCAPE.sub(r"\1", target)))
    return (found[1] or found[2]).lower() if found else ""


def _is_disguise(label: str, host: str) -> bool:
    """Whether a text, as one reads it, looks like an address on another host."""
    text = _INVISIBLE.sub("", html.unescape(_ESCAPE.sub(r"\1", label))).translate(_SIGNS)
    text = unicodedata.normalize("NFKC", _DOT.sub(".", text))
    for found in _HOST_IN_TEXT.finditer(text):
        named = (found[1] or _host(f"https://{found[2]}")).lower()
        if not (found[1] and _FILE.search(named)) and named.removeprefix("www.") != host.removeprefix("www."):
            return True
    return False
