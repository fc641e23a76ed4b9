"""Chooses what RDS Copilot answers: a diagnosis, a follow-up, a change, or an overview. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.demo.das.choose import instance_in, intent_in, is_chinese, occurs
from bot.demo.das.scripts import full_report
from bot.demo.rds.script import Action
from bot.demo.rds.scripts import connections, general, performance
from bot.demo.upstream.script import Intent, Say, Think, Topic

_YESTERDAY = ("yesterday", "day before", "昨天", "昨日")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to play, and what the conversation will remember of it."""

    actions: Sequence[Action]
    chinese: bool
    instance: str
    topic: Topic | None


def plan(question: str, language: str, instance: str, topic: Topic | None) -> Plan:
    """Decide on the answer.

    Args:
        question: as asked.
        language: a BCP 47 name to answer in; empty goes by the question.
        instance, topic: what the conversation was about, if anything.
    """
    chinese = language.lower().startswith("zh") if language else is_chinese(question)
    named, words = instance_in(question), question.lower()
    about = named or instance or performance.TOPIC.stand_in
    if "demo:replace" in words:
        return Plan(general.REPLACED, chinese, about, topic)
    if "demo:approve" in words:
        writes = 2 if "demo:approve-two" in words else 1
        return Plan(connections.actions(writes), chinese, about, topic)
    if topic and named in ("", instance) and not _begins(full_report.TOPIC, words):
        return Plan(_follow_up(topic, words), chinese, instance, topic)
    if _begins(full_report.TOPIC, words):
        return Plan(full_report.TOPIC.actions, chinese, about, full_report.TOPIC)
    if named or _begins(performance.TOPIC, words):
        return Plan(performance.ACTIONS, chinese, about, performance.TOPIC)
    return Plan(general.OVERVIEW, chinese, instance, topic)


def _begins(topic: Topic, words: str) -> bool:
    return any(occurs(keyword, words) for keyword in topic.keywords)


def _follow_up(topic: Topic, words: str) -> Sequence[Action]:
    if topic is performance.TOPIC and any(occurs(word, words) for word in _YESTERDAY):
        return performance.YESTERDAY
    return (Think(1.5), Say(topic.replies[intent_in(words) or Intent.OTHER]))
