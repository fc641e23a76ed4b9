"""What credentials look like: their own shapes, and the places where a database's password stands. Pure.

A rule is made of words of which one is in every text it matches, its case folded, and of a pattern. What is to be
hidden is the pattern's only closed group, or all of it when it has none. Most texts hold none of the words, and looking
for them is quick: 50 µs instead of 750 for 1,700 characters of SQL. Where a pattern ignores case its words have no i:
the Turkish ones match it too, and fold to something else.

Every repetition in a pattern is bounded, or what follows it cannot match what it repeats, so the time grows with the
length of the text.
"""

from __future__ import annotations

import re

Rule = tuple[tuple[str, ...], re.Pattern[str]]

NAME = (
    # The first letters of all of them: most places in a text are done with at one look.
    r"(?=[acprs口密])(?:access[\s_-]?key[\s_-]?secret|access[\s_-]?key(?:[\s_-]?id)?|secret[\s_-]?key"
    r"|client[\s_-]?secret|security[\s_-]?token|sts[\s_-]?token|api[\s_-]?key|auth[\s_-]?token|access[\s_-]?token"
    r"|refresh[\s_-]?token|private[\s_-]?key|signing[\s_-]?secret|password|passwd|passphrase|pwd"
    r"|(?<=_)pass|secret|口令|密码)"
)
_SHORT_NAME = (
    r"(?<![a-z0-9_-])(?<!unexpected )(?=[acpst])"
    r"(?:ak\s?/\s?sk|sk|pass|pw|token|credentials?|x-api-key|x-auth-token)"
)
"""Names that mean other things as well: what follows has to look like a secret."""
NO_SECRET = (
    r"(?![\"'`]?(?:\?|null|none|true|false|%s|\*{3,}|\.{3}|…|<[^<>\n]{1,40}>|\$?\{[^{}\n]{1,40}\}|\[hidden\])"
    r"(?![A-Za-z0-9_])|(?:old_)?password\s?\(|[|>][+-]?\s*$|[|>][+-]?[ \t]*\n"
    r"|(?:yes|no|not|is|was|are|one|ask|missing|expired|changed|required|invalid|wrong|empty|unset)(?:[\s),.;!?]|\Z)"
    r"|[请已未无不])"
)
"""Values that only stand for one, placeholders of SQL, of documentation and our own; and the words of sentences about
a secret, above all MySQL's "using password: YES"."""
_ANY_STRING = (
    r"\\{1,7}[\"'][^\"'\n]*[\"']?|[bexn]?\"(?:[^\"\\\n]|\\[^\n])*\"?|[bexn]?'(?:[^'\\\n]|''|\\[^\n])*'?"
)
"""A quoted value, quoted once more or not; one cut off by the end of its line or the text as well."""
_QUOTED = r"(?:[bexn]|_utf8(?:mb4)?)?(?:'(?:[^'\\\n]|''|\\[^\n])*'?|\"(?:[^\"\\\n]|\\[^\n])*\"?)"
_LOOKS_SECRET = (
    r"(?!(?:caching_)?sha|md5|mysql_|utf|[a-z]{1,20}\(\d|\S{0,40}password)"
    r"(?=[^\s|]{0,64}\d)(?=\d{6}|[^\s|]{0,64}[a-z])[^\s|\"'`,;，；<>)\]}]{6,256}"
)
"""A word with a digit in it that is neither a column's type nor a method of hashing."""
_MIXED = r"(?=\S{0,64}\d)(?-i:(?=\S{0,64}[a-z])(?=\S{0,64}[A-Z]))" + _LOOKS_SECRET
"""One that has letters of both sizes, too."""
_MARKS = r"\\{0,7}[\"'`*]{0,3}"
_OF = r"(?:[ \t]?\([^()\n]{1,40}\)|[ \t]for[ \t][^\s:=]{1,64})?"
_SEPARATOR = r"\s{0,3}(?:=>|->|→|[:=]|%3[ad])[*]{0,2}\s{0,3}(?:[|>][+-]?[ \t]{0,3}\n\s{0,12})?"

KEY_ID = re.compile(r"(?:LTAI|\bSTS\.)[A-Za-z0-9]{8,}")
"""An access key's id. The secret belonging to it has no shape of its own, but stands close behind."""
BARE_SECRET = re.compile(r"(?<![A-Za-z0-9])(?:[A-Za-z0-9]{30}|[A-Za-z0-9]{40,46})(?![A-Za-z0-9])")
"""30 letters and digits, or the 40 to 46 of a temporary secret."""
VALUE_FOLLOWS = re.compile(
    rf"(?i){NAME}[\"'`*]{{0,3}}{_OF}[\"'`*]{{0,3}}\s{{0,3}}(?:[:=][\"'`*]{{0,3}}\s{{0,3}}(?:[|>][+-]?)?)?\s*$"
)
"""The end of a line that names a secret and leaves the value to the next."""
LONE_WORD = re.compile(r"^([\s>*+`\"'-]{0,20}(?:[:=]\s{0,3})?)([\x21-\x7e]{4,256})\s*$")
"""A line of one word, apart from what quotes it or makes it a list."""
PAIR_VALUE = re.compile(
    rf"(?i)^\s*,?\s{{0,40}}\\{{0,7}}[\"'][a-z_]{{0,20}}value\\{{0,7}}[\"']\s*:\s*({_ANY_STRING})"
)
"""The line of a JSON object that has the value of a pair whose name stands in the line before."""
PAIR_NAME = re.compile(rf"(?i){NAME}\\{{0,7}}[\"']\s*,\s*$")
IS_SECRET_NAME = re.compile(rf"(?i){NAME}$|^authorization$")
COLUMN = re.compile(rf"(?i)^[\"'`*\s]{{0,3}}\w{{0,40}}{NAME}[\"'`*\s]{{0,3}}$")
"""The head of a column of secrets."""
ADDRESS = re.compile(
    r"(?i)(?::|%3a)(?://|%2f%2f)(?:[^\s:/@\"'<>%()\[\]]|%(?!3a|40|2f)){0,128}(?::|%3a)([^\s\"<>]*)"
)
"""A URL up to its port or its password, and the rest of the word."""
PORT = re.compile(r"(?i)(?:\d{1,5}|port|\{port\}|\$\{?\w{1,30}\}?)(?:[/?#,;)\]}'`.|…*，。；）、]|$)")

_NAMED = ("key", "secret", "token", "pass", "pwd", "口令", "密码")
_SHORT = ("sk", "pass", "pw", "token", "dent", "key")

_BEHIND_NAME = [
    # name = value, name: "value", "name": "value". A value cut off by the end of the text is hidden too.
    rf"{_MARKS}{_OF}{_MARKS}(?:\s+is|是|为)?{_SEPARATOR}(?![\s*]){NO_SECRET}"
    rf"({_ANY_STRING}|`[^`\n]*`?|[^\s,;\"'`&)}}\]|，；]+)",
    # password 'value' and password('value') of SQL.
    rf"(?<=password)(?:\s{{1,3}}|\s?\(\s?){NO_SECRET}({_QUOTED})",
    # {"name": "db_password", "value": "…"}
    rf"\\{{0,7}}[\"']\s{{0,3}},\s{{0,40}}\\{{0,7}}[\"'][a-z_]{{0,20}}value\\{{0,7}}[\"']"
    rf"\s{{0,3}}:\s{{0,3}}{NO_SECRET}({_ANY_STRING})",
    # <password>…</password>
    rf">\s{{0,3}}{NO_SECRET}([^<\s]{{1,256}})\s{{0,3}}</",
    # | password | … |, and the same between tabs.
    rf"[\"'`*]{{0,3}}(?:[ \t]{{0,60}}\|[ \t]{{0,60}}|\t[ \t]{{0,3}}){NO_SECRET}[\"'`]?"
    rf"({_LOOKS_SECRET})(?=[\"'`]?[ \t]{{0,60}}(?:\||\t|\n|…|$))",
    # "the password is hunter2": in a sentence only what has a digit or a sign in it looks like one.
    r"[\"'`*]{0,3}\s{1,3}(?:is|was)\s{1,3}((?=[^\s\d]{0,64}[\d!#$%^&*@])[^\s\"'`]+)",
    rf"[\"'`*]{{0,3}}\s{{0,3}}[是为]\s{{0,3}}[\"'`]?({NO_SECRET}[\x21-\x26\x28-\x7e]{{4,}})",
    rf"(?<=[令码])[ \t]{{1,3}}[\"'`]?({_LOOKS_SECRET})",
    rf"[ \t]{{1,3}}[\"'`]?({_MIXED})",
]

RULES: list[Rule] = [
    (("ltai", "sts."), KEY_ID),
    (("cais",), re.compile(r"\bCAIS[A-Za-z0-9+/=_-]{60,}")),
    # Slack tokens and hook URLs.
    (("xox", "xapp"), re.compile(r"x(?:ox[a-z]|app)-[A-Za-z0-9-]{8,}", re.I)),
    (("slack",), re.compile(r"https?://hooks\.slack(?:-gov)?\.com/[^\s\"'<>)]+", re.I)),
    (("talk",), re.compile(r"https?://oapi\.dingtalk\.com/robot/send\?[^\s\"'<>)]+", re.I)),
    # Other well-known shapes.
    (("akia",), re.compile(r"AKIA[0-9A-Z]{16}")),
    (("gh",), re.compile(r"gh[pousr]_[A-Za-z0-9]{20,}")),
    (("sk-",), re.compile(r"(?<![A-Za-z0-9])sk-(?=[A-Za-z_-]{0,64}\d)[A-Za-z0-9_-]{16,}")),
    (("eyj",), re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+")),
    (
        ("-----",),
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S),
    ),
    (
        ("author",),
        re.compile(r"(?i)authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?((?:[a-z0-9-]{2,32}\s+)?[^\s\"']{4,})"),
    ),
    (("bearer",), re.compile(r"(?i)bearer\s+([A-Za-z0-9._~+/=-]{8,})")),
    (("bas",), re.compile(rf"\b(?:Basic|BASIC)\s(?i:({_MIXED}))")),
    (
        ("cook",),
        re.compile(r"(?i)\b(?:set-)?cookie[\"']?\s{0,3}[:=]\s{0,3}[\"']?([^\s=;\"']{1,64}=[^\n\"']+)"),
    ),
    # SQL.
    (
        ("dent",),
        re.compile(rf"(?i)\bidentified\s+(?:with\s+\S{{1,64}}\s+)?(?:by|as)\s+(?:password\s+)?({_QUOTED})"),
    ),
    (
        ("dent",),
        re.compile(
            rf"(?i)\b(?:create|alter)\s+user\s[^\n]{{1,100}}?\sidentified\s+by\s+{NO_SECRET}"
            r"(?=\S{0,64}\d|\S{1,64}\s{0,9}(?:;|$))([^\s;,'\"<]{3,})"
        ),
    ),
    (
        ("password",),
        re.compile(rf"(?i)\bset\s+password\s+for\s[^\n=]{{1,150}}=\s{{0,3}}{NO_SECRET}({_QUOTED})"),
    ),
    (_NAMED, re.compile(rf"(?i){NAME}(?:{'|'.join(_BEHIND_NAME)})")),
    (
        _SHORT,
        re.compile(
            rf"(?i){_SHORT_NAME}{_MARKS}{_SEPARATOR}(?![\s*]){NO_SECRET}\\{{0,7}}[\"'`]?({_LOOKS_SECRET})"
        ),
    ),
    # Command lines.
    (
        ("mysql", "mar"),
        re.compile(
            rf"\b(?i:mysql|mariadb)(?:dump|admin|sh|binlog|check|import|show)?\b[^\n]{{0,200}}?\s-p(?!assword|ort)"
            rf"({_QUOTED}|[^\s'\"]+|[ \t](?i:{_MIXED}))"
        ),
    ),
    (("sshp",), re.compile(rf"\bsshpass\s+-p\s?({_QUOTED}|\S+)")),
    (("mongo",), re.compile(rf"\bmongo[a-z]{{0,10}}\b[^\n]{{0,200}}?\s-p\s?({_QUOTED}|(?!-)\S+)")),
    (
        ("--",),
        re.compile(
            r"(?i)--(?:[a-z]{1,20}-)?(?:password|passwd|pass|pwd|secret|token)\s{1,3}(?![-|])"
            rf"({NO_SECRET}(?:{_QUOTED}|(?-i:(?=\S{{0,64}}[\d!#$%^&*@+A-Z]))[^\s`\"']+|[^\s`\"']+(?=\s+-|\s*$)))"
        ),
    ),
    (
        ("-cl",),
        re.compile(
            r"(?i)\bredis-cli\b[^\n]{0,100}?\s(?:-a\s+|--pass\s+|auth\s+(?:[a-z][\w-]{0,30}\s+(?=\S))?)(\S+)"
        ),
    ),
    (("auth",), re.compile(rf"\bAUTH\s+(?:[a-z]\w{{0,30}}\s+)?(?i:[\"']?({_LOOKS_SECRET}))")),
    (
        ("requ", "masterauth"),
        re.compile(
            rf"(?i)\b(?:requirepass|masterauth)[\"']?\s{{1,3}}(?:2\)\s)?{NO_SECRET}"
            rf"({_QUOTED}|(?-i:(?=\S{{0,64}}[\d!#$%^&*@+A-Z]))[\x21-\x7e]+|[\x21-\x7e]{{3,}}(?=\s*$))"
        ),
    ),
    (
        ("sql", "pdp", "mpdp", "conn", "rman"),
        re.compile(
            r"(?i)\b(?:sqlplus|sqlldr|expdp|impdp|rman|conn(?:ect)?)\b[^\n]{0,80}?\s[\w$#\"]{1,30}/(?!/)"
            r"([^\s@]{1,128})@(?=[\w/(\"])"
        ),
    ),
    (("curl",), re.compile(r"(?i)\bcurl\b[^\n]{0,100}?\s-u\s*[^\s:]+:(\S+)")),
]

NEAR = re.compile(
    rf"(?i){NAME}|{_SHORT_NAME}|\bauth\b|requirepass|masterauth|identified|\bmysql|mariadb|mongo|sshpass|redis-cli"
    r"|sqlplus|sqlldr|expdp|impdp|\bconn|\bcurl|\brman|cookie|bearer|\bbasic\b"
)
"""What stands before a secret that has no shape of its own."""
BEGUN = re.compile(
    r"(?i)(?<![a-z0-9])(?:LTAI|STS\.|CAIS|AKIA|gh[pousr]_|xox[a-z]?-|xapp-|sk-|eyJ)|hooks\.slack|oapi\.dingtalk"
    r"|(?:://|%3a%2f%2f)[^\s/]{0,128}(?::|%3a)"
)
"""The beginning of a secret that has a shape."""
