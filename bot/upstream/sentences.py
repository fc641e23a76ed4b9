"""What a person in the thread reads when a run failed: one plain sentence with the remedy, per code.

The service's own words never appear here, because they may quote a question, a key or a stack. Only its code
and the name of a missing permission do, and those only in the shape such names have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from bot.upstream.errors import UpstreamError

Language = Literal["en", "zh"]

ANY_ACTION = "hdm:Chat / rdsai:ChatMessages"
"""Named when the service refused without saying which permission is missing."""

CODE_SHAPE = re.compile(r"-?[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
ACTION_SHAPE = re.compile(r"[a-z]{2,12}:[A-Za-z*]{1,60}")


@dataclass(frozen=True, slots=True)
class Sentence:
    """The two languages of one sentence; {action} and {code} are filled in."""

    en: str
    zh: str


NOT_ASKED_AGAIN = Sentence(
    en="The question was not asked again, because a run is billed and may already have done something; "
    "ask again if you want to.",
    zh="由于运行会计费且可能已经执行了操作，系统没有自动重新提问；如有需要，请再问一次。",
)

SENTENCES: dict[str, Sentence] = {
    "InvalidParam": Sentence(
        "The service did not accept the question as it was sent; please rephrase it, or start a new session.",
        "服务没有接受这个问题的参数；请换一种说法，或开始新的会话。",
    ),
    "NoPermission": Sentence(
        "The bot's account may not do this; an administrator has to grant it the RAM permission {action}.",
        "机器人的账号没有权限；请管理员为其授予 RAM 权限 {action}。",
    ),
    "PermissionDenied": Sentence(
        "The service denied access; an administrator should check that the edition (RDS Copilot needs "
        "Professional) is active and that the RAM permission {action} is granted.",
        "服务拒绝了访问；请管理员确认版本已开通（RDS Copilot 需要专业版），并已授予 RAM 权限 {action}。",
    ),
    "InvalidOrder": Sentence(
        "RDS Copilot's Professional Edition is not active for this account; "
        "an administrator can activate it in the RDS console.",
        "该账号未开通 RDS Copilot 专业版；请管理员在 RDS 控制台开通。",
    ),
    "UserNotFound": Sentence(
        "The service does not know this account; an administrator should check that it has been activated.",
        "服务找不到该账号；请管理员确认已开通此服务。",
    ),
    "InstanceNotFound": Sentence(
        "The service does not know this instance; check its id, and that the bot's account owns it.",
        "找不到该实例；请检查实例 ID，并确认它属于机器人所用的账号。",
    ),
    "-1810006": Sentence(
        "This agent is bound to no database instance; bind one to it in the DAS console, then ask again.",
        "该智能体没有绑定任何数据库实例；请在 DAS 控制台绑定实例后再提问。",
    ),
    "SignatureDoesNotMatch": Sentence(
        "The service rejected the bot's signature; an administrator should check the access key secret and "
        "the clock of the machine.",
        "服务拒绝了机器人的签名；请管理员检查 AccessKey Secret 和机器的时钟。",
    ),
    "InvalidTimeStamp": Sentence(
        "The service rejected the time of the request; an administrator should set the machine's clock.",
        "服务拒绝了请求的时间戳；请管理员校准机器的时钟。",
    ),
    "InvalidAccessKeyId": Sentence(
        "The service does not accept the bot's access key; an administrator should check that it exists and "
        "is enabled.",
        "服务不接受机器人的 AccessKey；请管理员确认它存在且已启用。",
    ),
    "InvalidSecurityToken": Sentence(
        "The bot's temporary credentials are no longer valid; an administrator should check where they come "
        "from.",
        "机器人的临时凭证已失效；请管理员检查凭证的来源。",
    ),
    "Throttling": Sentence(
        "The service is taking no more requests at the moment; wait a minute and ask again.",
        "服务目前限流；请等一分钟后再问一次。",
    ),
    "ConcurrentLimit": Sentence(
        "This account already has as many runs open as its edition allows; ask again when one has ended.",
        "该账号同时运行的数量已达到版本上限；请等其中一个结束后再问一次。",
    ),
    "ServiceUnavailable": Sentence(
        "The service is not available at the moment; ask again in a few minutes.",
        "服务暂时不可用；请几分钟后再问一次。",
    ),
    "Connect": Sentence(
        "The service could not be reached; try again in a few minutes, and if it persists an administrator "
        "should check the network and the endpoint.",
        "无法连接到服务；请几分钟后再试，若仍失败，请管理员检查网络和接入地址。",
    ),
    "Timeout": Sentence(
        "The service took too long and gave up; " + "ask again, perhaps about a shorter period of time.",
        "服务处理超时；请再问一次，或缩小问题的时间范围。",
    ),
    "Silence": Sentence(
        "The service fell silent in the middle of the run. " + NOT_ASKED_AGAIN.en,
        "服务长时间没有任何响应。" + NOT_ASKED_AGAIN.zh,
    ),
    "Deadline": Sentence(
        "The run took longer than allowed, so the bot stopped listening. " + NOT_ASKED_AGAIN.en,
        "运行超过了允许的最长时间，机器人已停止接收。" + NOT_ASKED_AGAIN.zh,
    ),
    "Cut": Sentence(
        "The connection broke before the answer was complete. " + NOT_ASKED_AGAIN.en,
        "连接在回答完成之前中断了。" + NOT_ASKED_AGAIN.zh,
    ),
    "BadStream": Sentence(
        "The service sent something the bot cannot read; ask again, and if it happens again tell an "
        "administrator.",
        "服务返回了机器人无法读取的内容；请再问一次，若再次出现请告知管理员。",
    ),
    "TooLarge": Sentence(
        "The answer grew larger than the bot accepts; ask about fewer instances or a shorter period of time.",
        "回答超出了机器人可接收的大小；请减少实例数量或缩短时间范围后再提问。",
    ),
    "Credentials": Sentence(
        "The bot has no usable access key for Alibaba Cloud; an administrator should check its credentials.",
        "机器人没有可用的阿里云访问凭证；请管理员检查凭证配置。",
    ),
    "QuestionTooLong": Sentence(
        "The question is too long for the service; shorten it to 32,000 characters for DAS Agent, or 8,000 "
        "for RDS Copilot.",
        "问题过长；请缩短后再提问（DAS Agent 最多 32,000 个字符，RDS Copilot 最多 8,000 个字符）。",
    ),
    "": Sentence(
        "The service ended the run with an error ({code}); ask again, and if it happens again tell an "
        "administrator.",
        "服务以错误结束了运行（{code}）；请再问一次，若再次出现请告知管理员。",
    ),
}

FAMILIES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"concurren", re.IGNORECASE), "ConcurrentLimit"),
    (re.compile(r"^TooManyRequests|^HTTP429$"), "ConcurrentLimit"),
    (re.compile(r"^Throttling"), "Throttling"),
    (re.compile(r"^SignatureDoesNotMatch|^IncompleteSignature"), "SignatureDoesNotMatch"),
    (re.compile(r"^InvalidTimeStamp"), "InvalidTimeStamp"),
    (re.compile(r"^InvalidAccessKey|^HTTP401$"), "InvalidAccessKeyId"),
    (re.compile(r"^InvalidSecurityToken"), "InvalidSecurityToken"),
    (re.compile(r"^NoPermission|^Forbidden|^HTTP403$"), "NoPermission"),
    (re.compile(r"^InvalidOrder"), "InvalidOrder"),
    (re.compile(r"^InvalidParam|^MissingParam|^MissingMessage|^HTTP400$"), "InvalidParam"),
    (re.compile(r"^ServiceUnavailable|^HTTP50[23]$"), "ServiceUnavailable"),
    (re.compile(r"^Timeout$|^HTTP504$"), "Timeout"),
)
"""Codes that come in families, as InvalidAccessKeyId.NotFound; the first that fits wins."""


def explain(error: UpstreamError, language: Language) -> str:
    """What to tell the person who asked, in their language; contains nothing of `error.message`."""
    key = next((key for pattern, key in FAMILIES if pattern.search(error.code)), error.code)
    sentence = SENTENCES.get(key) or SENTENCES[""]
    action = error.action if ACTION_SHAPE.fullmatch(error.action) else ANY_ACTION
    code = error.code if CODE_SHAPE.fullmatch(error.code) else "?"
    return (sentence.zh if language == "zh" else sentence.en).format(action=action, code=code)
