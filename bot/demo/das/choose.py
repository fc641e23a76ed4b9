"""Chooses what to answer: the topic of a question, the instance it is about, or a follow-up. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.demo.das import interrupt
from bot.demo.das.interrupt import Step
from bot.demo.das.memory import Memory
from bot.demo.das.scripts import TOPICS, general
from bot.demo.upstream.script import Action, Intent, Say, Text, Think, Topic

_INSTANCE = re.compile(r"(?<![A-Za-z0-9-])(?:rm|pc|dds|r)-[a-z0-9]{3,32}(?![A-Za-z0-9])")
_CHINESE = re.compile(r"[\u3400-\u9fff]")

_INTENTS: dict[Intent, tuple[str, ...]] = {
    Intent.SAFE: (
        "safe", "risk", "lock the table", "block write", "downtime", "impact", "in production", "side effect",
        "安全", "风险", "锁表", "影响", "停机", "副作用",
    ),
    Intent.DURATION: ("how long", "how much time", "how fast", "when will", "多久", "多长时间", \
"多少时间", "什么时候能"),
    Intent.SQL: ("sql", "statement", "command", "ddl", "exact", "语句", "命令", "怎么写"),
    Intent.WHY: ("why", "how come", "reason", "root cause", "explain", "为什么", "为何", "原因", "怎么回事"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What to play, and what the session will remember of it."""

    actions: tuple[Step, ...]
    chinese: bool
    memory: Memory


def is_chinese(question: str) -> bool:
    """Whether the question holds a Chinese character: then the answer is Chinese."""
    return bool(_CHINESE.search(question))


def instance_in(question: str) -> str:
    """The first instance id in the question, or an empty string."""
    found = _INSTANCE.search(question.lower())
    return found[0] if found else ""


def plan(question: str, memory: Memory | None) -> Plan:
    """Decide on the answer to `question` in a session of which `memory` is known (None: a new one)."""
    named = instance_in(question)
    words = _INSTANCE.sub(" ", question.lower())
    chinese, topic, intent = is_chinese(question), _topic(words), intent_in(words)
    turns = memory.turns + 1 if memory else 1
    before = memory.topic if memory else None
    if interrupt.WORD in words:
        return Plan(
            (Think(1.5), interrupt.WHICH_INSTANCE),
            chinese,
            Memory(memory.instance if memory else "", before, turns),
        )
    if memory and before and named in ("", memory.instance) and _follows(before, topic, intent, named):
        actions = _follow_up(before, intent or Intent.OTHER)
        return Plan(actions, chinese, Memory(memory.instance, before, turns))
    instance = named or (memory.instance if memory else "")
    if topic and instance and instance.partition("-")[0] not in topic.kinds:
        topic = None
    if topic is None:
        return Plan(
            general.actions(instance), chinese, Memory(instance, before if not named else None, turns)
        )
    return Plan(_diagnosis(topic, named, memory), chinese, Memory(instance or topic.stand_in, topic, turns))


def _follows(before: Topic, topic: Topic | None, intent: Intent | None, named: str) -> bool:
    if topic is None:
        return not named or intent is not None
    if named:
        return False
    # "Will the index lock the table?" mentions locks but asks about safety.
    return intent is Intent.SAFE or (topic is before and intent is not None)


def _topic(words: str) -> Topic | None:
    """The topic most of whose keywords occur; the earlier one when two are equal."""
    hits = [(sum(occurs(keyword, words) for keyword in topic.keywords), topic) for topic in TOPICS]
    best = max(hits, key=lambda hit: hit[0])
    return best[1] if best[0] else None


def intent_in(words: str) -> Intent | None:
    """What a follow-up asks for; `words` are in lower case."""
    for intent, phrases in _INTENTS.items():
        if any(occurs(phrase, words) for phrase in phrases):
            return intent
    return None


def occurs(keyword: str, words: str) -> bool:
    """Whether a word that begins with `keyword`, or Chinese characters, stand in `words` (in lower case)."""
    if keyword.isascii():
        return re.search(rf"(?<![a-z0-9]){re.escape(keyword)}", words) is not None
    return keyword in words


def _diagnosis(topic: Topic, named: str, memory: Memory | None) -> tuple[Action, ...]:
    if memory and memory.topic and named in ("", memory.instance):
        return (Think(1.0), Say(_back(memory.topic)), *topic.actions)
    if memory and memory.instance and not named:
        return (Think(1.0), Say(_SAME_INSTANCE), *topic.actions)
    if not named:
        return (Think(1.0), Say(_PICKED), *topic.actions)
    return topic.actions


def _follow_up(topic: Topic, intent: Intent) -> tuple[Action, ...]:
    reply = Say(topic.replies[intent])
    if intent is Intent.OTHER and topic.recheck:
        return (Think(1.5), topic.recheck, Think(1.0), reply)
    return (Think(2.5), reply)


def _back(topic: Topic) -> Text:
    finding = topic.finding
    return Text(
        f"Staying with `{{instance}}`, where I described {finding.en} above. "
        "I am checking it again with your question in mind.",
        f"仍以实例 `{{instance}}` 为对象（上文已说明：{finding.zh}），我结合您的新问题重新检查。",
    )


_SAME_INSTANCE = Text(
    "You named no instance this time, so I am staying with `{instance}` from above.",
    "您这次没有指定实例，我继续以上文的 `{instance}` 为对象。",
)

_PICKED = Text(
    "You named no instance. Of those bound to this agent `{instance}` shows the symptom most clearly, "
    "so I am looking at that one; name another id if you meant a different one.",
    "您没有指定实例。在此智能体绑定的实例中，`{instance}` 的症状最明显，我先检查它；"
    "如需检查其他实例，请告诉我实例 ID。",
)
