"""A question: what somebody asked, from whatever surface, in one shape."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "zh"]

MAX_QUESTION = 32_000
"""Characters the service takes in one question (facts of DAS Chat)."""

_CJK = re.compile(r"[㐀-鿿豈-﫿]")
_WORD = re.compile(r"(?<![^\s('\"])[A-Za-z]{2,}(?=[.,:;!?)'\"]*(?:\s|$))")
"""A word of English. What hangs together with digits or signs is an instance's id, an address or a path."""


def language_of(text: str) -> Language:
    """The language to answer formalities in: Chinese when the text has any Chinese character."""
    return "zh" if _CJK.search(text) else "en"


def has_words(text: str) -> bool:
    """Whether a text tells the language it is in: "rm-bp1abc" and "" do not."""
    return bool(_CJK.search(text) or _WORD.search(text))


@dataclass(frozen=True, slots=True)
class Thread:
    """A Slack conversation. `thread_ts` is its root message's.

    A command's root is yet to be posted; until then its thread is named "new-" and the run's id.
    """

    team: str
    channel: str
    thread_ts: str

    @property
    def is_new(self) -> bool:
        """Whether its root message has yet to be posted."""
        return self.thread_ts.startswith("new-")

    @property
    def key(self) -> str:
        """Its name in the store."""
        return f"{self.team}:{self.channel}:{self.thread_ts}"

    @classmethod
    def from_key(cls, key: str) -> Thread:
        """The inverse of `key`."""
        team, channel, thread_ts = key.split(":", 2)
        return cls(team, channel, thread_ts)


@dataclass(frozen=True, slots=True)
class Asker:
    """What is known of who asked: `locale` (BCP 47, "zh-CN") and `timezone` (an IANA name), "" unknown."""

    locale: str = ""
    timezone: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asked.

    Attributes:
        thread: where, and where the answer goes.
        ts: the asking message's own ts; for a command a unique id in its place.
        user: who asked (`U…`); user_team: their home team, which differs in shared channels.
        text: what they asked, mentions of the bot removed.
        surface: "mention", "thread", "dm", "command", "again" or "resume" (buttons).
        response_url: a command's, for the private hint when the bot cannot post; else "".
        backend: the service a command names ("das", "rds"); "" leaves it to the thread, channel and workspace.
        resumes: id of the paused run this lets go on, in whose reply it is answered; else "".
        resumed_by: who decided that; "" without `resumes`.
        answers: id of the paused run that this answers as a question of its own; else "".
        answer_in: the language to answer in where the text does not tell it, or belongs to another question; else "".
    """

    thread: Thread
    ts: str
    user: str
    user_team: str
    text: str
    surface: str
    response_url: str = ""
    backend: str = ""
    resumes: str = ""
    resumed_by: str = ""
    answers: str = ""
    answer_in: Language | Literal[""] = ""

    @property
    def language(self) -> Language:
        """The language to answer formalities in."""
        return self.answer_in or language_of(self.text)
