"""Secrets out of text: before every Slack write and every log line. Pure, but for the patterns operators add at start.

Errs on the side of hiding: a hidden word costs a click in the console, a shown key costs a rotation. Redacting twice
changes nothing more. Every repetition in a pattern is bounded, or what follows it cannot match what it repeats, so
the time grows with the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "[hidden]"

_NAME = (
    # The first letters of all of them: most places in a text are done with at one look.
    r"(?=[acprs口密])(?:access[\s_-]?key[\s_-]?secret|access[\s_-]?key(?:[\s_-]?id)?|secret[_-]?key|client[_-]?secret"
    r"|security[_-]?token"
    r"|sts[_-]?token|api[_-]?key|auth[_-]?token|access[_-]?token|refresh[_-]?token|private[_-]?key"
    r"|signing[_-]?secret|password|passwd|passphrase|pwd|secret|口令|密码)"
)
_NO_SECRET = (
    r"(?![\"'`]?(?:\?|null|none|true|false|%s|\*{3,}|\.{3}|…|<[^<>\n]{1,40}>|\[hidden\])(?![A-Za-z0-9_])"
    r"|(?:yes|no|not|is|was|are|one|ask|missing|expired|changed|required|invalid|wrong|empty|unset)(?:[\s),.;!?]|\Z)"
    r"|[请已未无不])"
)
"""Values that only stand for one, placeholders of SQL, of documentation and our own; and the words of sentences about
a secret, above all MySQL's "using password: YES"."""
KEY_ID = re.compile(r"(?:LTAI|\bSTS\.)[A-Za-z0-9]{8,}")
"""An access key's id. The secret belonging to it has no shape of its own, but stands close behind."""
BARE_SECRET = re.compile(r"(?<![A-Za-z0-9])(?:[A-Za-z0-9]{30}|[A-Za-z0-9]{40,46})(?![A-Za-z0-9])")
"""30 letters and digits, or the 40 to 46 of a temporary secret."""
VALUE_FOLLOWS = re.compile(rf"(?i){_NAME}[\"'`*]{{0,3}}\s{{0,3}}[:=：][\"'`*]{{0,3}}\s*$")
"""The end of a line that names a secret and leaves the value to the next."""
LONE_WORD = re.compile(r"^([\s>*+`\"'-]{0,20})([\x21-\x7e]{4,256})\s*$")
"""A line of one word, apart from what quotes it or makes it a list."""
_CLOSE_BEHIND = 200
"""Characters behind a key's id in which its secret is looked for."""
_NAMED = ("key", "secret", "token", "pass", "pwd", "口令", "密码")
_RULES: list[tuple[tuple[str, ...], re.Pattern[str], str]] = [
    (("ltai", "sts."), KEY_ID, HIDDEN),
    (("cais",), re.compile(r"\bCAIS[A-Za-z0-9+/=_-]{60,}"), HIDDEN),
    # Slack tokens and hook URLs.
    (("xox", "xapp"), re.compile(r"x(?:ox[a-z]|app)-[A-Za-z0-9-]{8,}", re.I), HIDDEN),
    (("slack",), re.compile(r"https?://hooks\.slack(?:-gov)?\.com/[^\s\"'<>)]+", re.I), HIDDEN),
    (("talk",), re.compile(r"https?://oapi\.dingtalk\.com/robot/send\?[^\s\"'<>)]+", re.I), HIDDEN),
    # Other well-known shapes.
    (("akia",), re.compile(r"AKIA[0-9A-Z]{16}"), HIDDEN),
    (("gh",), re.compile(r"gh[pousr]_[A-Za-z0-9]{20,}"), HIDDEN),
    (
        ("eyj",),
        re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+"),
        HIDDEN,
    ),
    (
        ("-----",),
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S),
        HIDDEN,
    ),
    # user:password@host in a URL: the user may stay.
    (
        ("@",),
        re.compile(r"(?i)([a-z0-9+.-]{1,20}://[^\s:/@\"'<>]{0,128}):[^\s@\"'<>]{1,256}@"),
        rf"\1:{HIDDEN}@",
    ),
    (
        ("author",),
        re.compile(r"(?i)(authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?)(?:[a-z0-9-]{2,32}\s+)?[^\s\"']{4,}"),
        rf"\1{HIDDEN}",
    ),
    (("bearer",), re.compile(r"(?i)(bearer\s+)[A-Za-z0-9._~+/=-]{8,}"), rf"\1{HIDDEN}"),
    (
        ("dent",),
        re.compile(
            r"(?i)(\bidentified\s+(?:with\s+\S{1,64}\s+)?by\s+(?:password\s+)?)('[^'\n]*'?|\"[^\"\n]*\"?)"
        ),
        rf"\1{HIDDEN}",
    ),
    # name = value, name: "value", "name": "value". A value cut off by the end of the text is hidden too.
    (
        _NAMED,
        re.compile(
            rf"(?i)({_NAME}\\?[\"'`*]{{0,3}}(?:\s+is|是|为)?\s{{0,3}}(?:=>|[:=：])[*]{{0,2}}\s{{0,3}})"
            rf"(?![\s*]){_NO_SECRET}"
            r"(\\?\"(?:[^\"\\\n]|\\[^\n])*\"?|'[^'\n]*'?|`[^`\n]*`?|[^\s,;\"'`&)}\]|，；]+)"
        ),
        rf"\1{HIDDEN}",
    ),
    # "the password is hunter2": in a sentence only what has a digit or a sign in it looks like one.
    (
        _NAMED,
        re.compile(
            rf"(?i)({_NAME}[\"'`*]{{0,3}}\s{{1,3}}(?:is|was)\s{{1,3}})(?=[^\s\d]{{0,64}}[\d!#$%^&*@])[^\s\"'`]+"
        ),
        rf"\1{HIDDEN}",
    ),
    (
        ("口令", "密码"),
        re.compile(
            rf"((?:口令|密码)[\"'`*]{{0,3}}\s{{0,3}}[是为]\s{{0,3}}[\"'`]?){_NO_SECRET}[\x21-\x26\x28-\x7e]{{4,}}"
        ),
        rf"\1{HIDDEN}",
    ),
    # mysql -pSECRET, redis-cli -a SECRET, curl -u user:SECRET.
    (
        ("mysql",),
        re.compile(r"(?i)(\bmysql(?:dump|admin)?\b[^\n]{0,200}?\s-p)(?=\S)(?!assword)[^\s'\"]+"),
        rf"\1{HIDDEN}",
    ),
    (("-cl",), re.compile(r"(?i)(\bredis-cli\b[^\n]{0,200}?\s-a\s+)\S+"), rf"\1{HIDDEN}"),
    (("curl",), re.compile(r"(?i)(\bcurl\b[^\n]{0,200}?\s-u\s*[^\s:]+:)\S+"), rf"\1{HIDDEN}"),
]
"""Words of which one is in a text, its case folded, wherever the pattern matches; the pattern; what stands there
instead. Most texts hold none of the words, and looking for them is quick: 35 µs instead of 1 ms for 1,700 characters of
SQL. Where a pattern ignores case its words have no i: the Turkish ones match it too, and fold to something else."""


_extra: list[re.Pattern[str]] = []


def also_hide(patterns: Iterable[str]) -> None:
    """Hide what these regular expressions match as well, from now on, in this process.

    They replace those given before. One matches within a line of an answer.
    """
    _extra[:] = [re.compile(pattern) for pattern in patterns]


def has_extra() -> bool:
    """Whether there are such expressions."""
    return bool(_extra)


def redact(text: str) -> str:
    """`text` with everything that looks like a credential replaced by `[hidden]`."""
    for extra in _extra:
        text = extra.sub(HIDDEN, text)
    if "LTAI" in text or "STS." in text:
        text = _without_partners(text)
    folded = text.casefold()
    for signs, pattern, replacement in _RULES:
        if any(sign in folded for sign in signs):
            text = pattern.sub(replacement, text)
    return text


def _without_partners(text: str) -> str:
    """Hide what stands close behind a key's id and looks like its secret."""
    parts = []
    done = 0
    for key in KEY_ID.finditer(text):
        begin, end = max(done, key.end()), min(len(text), key.end() + _CLOSE_BEHIND)
        if begin >= end:
            continue
        # Not to take the beginning of a longer word for a secret, the window ends between words.
        while (
            end < len(text)
            and text[end - 1].isalnum()
            and text[end].isalnum()
            and end - begin < 2 * _CLOSE_BEHIND
        ):
            end += 1
        parts += [text[done:begin], BARE_SECRET.sub(HIDDEN, text[begin:end])]
        done = end
    return "".join([*parts, text[done:]])


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret, as `password` or `accessKeySecret` do."""
    return bool(_SECRET_NAME.search(name))


_SECRET_NAME = re.compile(rf"(?i){_NAME}$|^authorization$")
