"""Secrets out of text: before every Slack write and every log line. Pure.

Errs on the side of hiding: a hidden word costs a click in the console, a shown key costs a rotation.
"""

from __future__ import annotations

import re

HIDDEN = "[hidden]"

_NAME = (
    r"(?:access[_-]?key[_-]?secret|access[_-]?key(?:[_-]?id)?|secret[_-]?key|client[_-]?secret|security[_-]?token"
    r"|sts[_-]?token|api[_-]?key|auth[_-]?token|access[_-]?token|refresh[_-]?token|private[_-]?key"
    r"|signing[_-]?secret|password|passwd|passphrase|pwd|secret|口令|密码)"
)
_RULES: list[tuple[re.Pattern[str], str]] = [
    # Alibaba Cloud access key ids, and the 30 letters and digits of a secret right after one.
    (
        re.compile(
            r"\b(?:LTAI|STS\.)[A-Za-z0-9]{8,}\b(?:([\s,;:/|\"']{1,12})[A-Za-z0-9]{30}(?![A-Za-z0-9]))?"
        ),
        HIDDEN,
    ),
    (re.compile(r"\bCAIS[A-Za-z0-9+/=_-]{60,}"), HIDDEN),
    # Slack tokens and hook URLs.
    (re.compile(r"\bx(?:ox[a-z]|app)-[A-Za-z0-9-]{8,}", re.I), HIDDEN),
    (re.compile(r"https?://hooks\.slack(?:-gov)?\.com/[^\s\"'<>)]+", re.I), HIDDEN),
    (re.compile(r"https?://oapi\.dingtalk\.com/robot/send\?[^\s\"'<>)]+", re.I), HIDDEN),
    # Other well-known shapes.
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), HIDDEN),
    (re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}"), HIDDEN),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+"), HIDDEN),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S),
        HIDDEN,
    ),
    # user:password@host in a URL: the user may stay.
    (
        re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}://[^\s:/@\"'<>]{0,128}):[^\s@\"'<>]{1,256}@"),
        rf"\1:{HIDDEN}@",
    ),
    (
        re.compile(r"(?i)(\bauthorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?)(?:[a-z0-9-]{2,32}\s+)?[^\s\"']{4,}"),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}"), rf"\1{HIDDEN}"),
    (
        re.compile(
            r"(?i)(\bidentified\s+(?:with\s+\S{1,64}\s+)?by\s+(?:password\s+)?)('[^'\n]*'?|\"[^\"\n]*\"?)"
        ),
        rf"\1{HIDDEN}",
    ),
    # name = value, name: "value", "name": "value". A value cut off by the end of the text is hidden too.
    (
        re.compile(
            rf"(?i)((?<![a-z]){_NAME}\\?[\"'`*]{{0,3}}(?:\s+is|是|为)?\s{{0,3}}(?:=>|[:=：])[*]{{0,2}}\s{{0,3}})"
            r"(\\?\"(?:[^\"\\\n]|\\[^\n])*\"?|'[^'\n]*'?|`[^`\n]*`?|[^\s,;\"'`&)}\]|，；]+)"
        ),
        rf"\1{HIDDEN}",
    ),
    # mysql -pSECRET, redis-cli -a SECRET, curl -u user:SECRET.
    (
        re.compile(r"(?i)(\bmysql(?:dump|admin)?\b[^\n]{0,200}?\s-p)(?=\S)(?!assword)[^\s'\"]+"),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)(\bredis-cli\b[^\n]{0,200}?\s-a\s+)\S+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)(\bcurl\b[^\n]{0,200}?\s-u\s*[^\s:]+:)\S+"), rf"\1{HIDDEN}"),
]


def redact(text: str) -> str:
    """`text` with everything that looks like a credential replaced by `[hidden]`."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
