"""What a person in the thread reads when a run failed: one plain sentence with the remedy, per code.

The service's own words never appear here, because they may quote a question, a key or a stack. Only its code
and the name of a missing permission do, and those only in the shape such names have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from bot.upstream.errors import UpstreamError

Language = Literal["en", "zh"]

ANY_ACTION = "hdm:Chat / rdsai:ChatMessages"
"""Named when the service refused without saying which permission is missing."""

CODE_SHAPE = re.compile(r"-?[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
ACTION_SHAPE = re.compile(r"[a-z]{2,12}:[A-Za-z*]{1,60}")


@dataclass(frozen=True, slots=True)
class Sentence:
    """What is said for some codes, in two languages; {action} and {code} are filled in.

    `codes` may hold * for any characters; case does not matter. `by` is who gives such a code.
    """

    codes: tuple[str, ...]
    by: str
    en: str
    zh: str


ANY = "DAS, RDS"
GATEWAY = "Alibaba Cloud"
BOT = "das-bot"

NOT_ASKED_AGAIN = (
    "The question was not asked again, because a run is billed and may already have done something; "
    "ask again if you want to.",
    "由于运行会计费且可能已经执行了操作，系统没有自动重新提问；如有需要，请再问一次。",
)

SENTENCES: tuple[Sentence, ...] = (
    Sentence(
        ("TooManyRequests", "*ConcurrentLimit*", "*Concurrency*", "HTTP429"),
        ANY,
        "This account already has as many runs open as its edition allows; ask again when one has ended.",
        "该账号同时运行的数量已达到版本上限；请等其中一个结束后再问一次。",
    ),
    Sentence(
        ("Throttling*",),
        GATEWAY,
        "The service is taking no more requests at the moment; wait a minute and ask again.",
        "服务目前限流；请等一分钟后再问一次。",
    ),
    Sentence(
        ("NoPermission", "Forbidden*", "HTTP403"),
        ANY,
        "The bot's account may not do this; an administrator has to grant it the RAM permission {action}.",
        "机器人的账号没有权限；请管理员为其授予 RAM 权限 {action}。",
    ),
    Sentence(
        ("InvalidOrder", "PermissionDenied"),
        "RDS",
        "RDS Copilot's Professional Edition is not active for this account; an administrator can activate it in the "
        "RDS console. If it is active, the RAM permission {action} may be missing.",
        "该账号未开通 RDS Copilot 专业版，请管理员在 RDS 控制台开通；若已开通，可能缺少 RAM 权限 {action}。",
    ),
    Sentence(
        ("UserNotFound",),
        "RDS",
        "The service does not know this account; an administrator should check that it has been activated.",
        "服务找不到该账号；请管理员确认已开通此服务。",
    ),
    Sentence(
        ("InstanceNotFound",),
        "DAS",
        "The service does not know this instance; check its id, and that the bot's account owns it.",
        "找不到该实例；请检查实例 ID，并确认它属于机器人所用的账号。",
    ),
    Sentence(
        ("-1810006",),
        "DAS",
        "This agent is bound to no database instance; bind one to it in the DAS console, then ask again.",
        "该智能体没有绑定任何数据库实例；请在 DAS 控制台绑定实例后再提问。",
    ),
    Sentence(
        ("Session*Expired", "Session*NotFound", "Session*NotExist*", "Conversation*NotFound", "Conversation*NotExist*",
         "InvalidSession", "InvalidSessionId", "InvalidConversation*"),
        ANY,
        "The service no longer knows this thread's session; press New session, or ask again to begin one.",
        "服务已不再保留此话题的会话；请点击「新会话」，或再问一次以开始新的会话。",
    ),
    Sentence(
        ("InvalidParams", "InvalidParam*", "MissingParam*", "MissingMessage*", "HTTP400"),
        ANY,
        "The service did not accept the question as it was sent; please rephrase it, or start a new session.",
        "服务没有接受这个问题的参数；请换一种说法，或开始新的会话。",
    ),
    Sentence(
        ("SignatureDoesNotMatch", "IncompleteSignature"),
        GATEWAY,
        "The service rejected the bot's signature; an administrator should check the access key secret and the clock "
        "of the machine.",
        "服务拒绝了机器人的签名；请管理员检查 AccessKey Secret 和机器的时钟。",
    ),
    Sentence(
        ("InvalidTimeStamp*",),
        GATEWAY,
        "The service rejected the time of the request; an administrator should set the machine's clock.",
        "服务拒绝了请求的时间戳；请管理员校准机器的时钟。",
    ),
    Sentence(
        ("InvalidAccessKey*", "HTTP401"),
        GATEWAY,
        "The service does not accept the bot's access key; an administrator should check that it exists and is "
        "enabled.",
        "服务不接受机器人的 AccessKey；请管理员确认它存在且已启用。",
    ),
    Sentence(
        ("InvalidSecurityToken*", "SecurityToken*", "MissingSecurityToken", "InvalidSessionToken*"),
        GATEWAY,
        "The bot's temporary credentials are no longer valid; an administrator should check where they come from.",
        "机器人的临时凭证已失效；请管理员检查凭证的来源。",
    ),
    Sentence(
        ("Timeout", "HTTP504"),
        "DAS, Alibaba Cloud",
        "The service took too long and gave up; ask again, perhaps about a shorter period of time.",
        "服务处理超时；请再问一次，或缩小问题的时间范围。",
    ),
    Sentence(
        ("ServiceUnavailable*", "HTTP502", "HTTP503"),
        GATEWAY,
        "The service is not available at the moment; ask again in a few minutes.",
        "服务暂时不可用；请几分钟后再问一次。",
    ),
    Sentence(
        ("InternalError*", "SystemError*", "HTTP500", "*Exception"),
        ANY,
        "Something failed inside the service ({code}), for instance in reaching the database; ask again in a few "
        "minutes, and if it happens again tell an administrator.",
        "服务内部出错（{code}），例如无法连接数据库；请几分钟后再问一次，若再次出现请告知管理员。",
    ),
    Sentence(
        ("Stopped",),
        "RDS",
        "The run was stopped in the service, outside this thread; ask again if you still want the answer.",
        "该运行已在服务端被停止；如仍需要答案，请再问一次。",
    ),
    Sentence(
        ("Connect",),
        BOT,
        "The service could not be reached; try again in a few minutes, and if it persists an administrator should "
        "check the network and the endpoint.",
        "无法连接到服务；请几分钟后再试，若仍失败，请管理员检查网络和接入地址。",
    ),
    Sentence(
        ("Cut",),
        BOT,
        "The connection broke before the answer was complete. " + NOT_ASKED_AGAIN[0],
        "连接在回答完成之前中断了。" + NOT_ASKED_AGAIN[1],
    ),
    Sentence(
        ("Silence",),
        BOT,
        "The service fell silent in the middle of the run. " + NOT_ASKED_AGAIN[0],
        "服务长时间没有任何响应。" + NOT_ASKED_AGAIN[1],
    ),
    Sentence(
        ("Deadline",),
        BOT,
        "The run took longer than allowed, so the bot stopped listening. " + NOT_ASKED_AGAIN[0],
        "运行超过了允许的最长时间，机器人已停止接收。" + NOT_ASKED_AGAIN[1],
    ),
    Sentence(
        ("BadStream",),
        BOT,
        "The service sent something the bot cannot read; ask again, and if it happens again tell an administrator.",
        "服务返回了机器人无法读取的内容；请再问一次，若再次出现请告知管理员。",
    ),
    Sentence(
        ("TooLarge",),
        BOT,
        "The answer grew larger than the bot accepts; ask about fewer instances or a shorter period of time.",
        "回答超出了机器人可接收的大小；请减少实例数量或缩短时间范围后再提问。",
    ),
    Sentence(
        ("QuestionTooLong",),
        BOT,
        "The question is too long for the service; shorten it to 32,000 characters for DAS Agent, or 8,000 for RDS "
        "Copilot.",
        "问题过长；请缩短后再提问（DAS Agent 最多 32,000 个字符，RDS Copilot 最多 8,000 个字符）。",
    ),
    Sentence(
        ("Credentials",),
        BOT,
        "The bot has no usable access key for Alibaba Cloud; an administrator should check its credentials.",
        "机器人没有可用的阿里云访问凭证；请管理员检查凭证配置。",
    ),
    Sentence(
        ("NoBackend",),
        BOT,
        "The service this thread asks is no longer set up; move the thread to another agent, or tell an "
        "administrator.",
        "此话题所用的服务已不再配置；请将话题切换到其他智能体，或告知管理员。",
    ),
)  # fmt: skip
"""The first that fits a code is said."""

OTHER = Sentence(
    ("*",),
    ANY,
    "The service ended the run with an error ({code}); ask again, and if it happens again tell an administrator.",
    "服务以错误结束了运行（{code}）；请再问一次，若再次出现请告知管理员。",
)


def sentence_for(code: str) -> Sentence:
    """The sentence of a code."""
    name = code.lower()
    fits = (row for row in SENTENCES if any(fnmatchcase(name, glob.lower()) for glob in row.codes))
    return next(fits, OTHER)


def explain(error: UpstreamError, language: Language) -> str:
    """What to tell the person who asked, in their language; contains nothing of `error.message`."""
    sentence = sentence_for("SessionExpired" if error.is_gone_session else error.code)
    action = error.action if ACTION_SHAPE.fullmatch(error.action) else ANY_ACTION
    code = error.code if CODE_SHAPE.fullmatch(error.code) else "?"
    return (sentence.zh if language == "zh" else sentence.en).format(action=action, code=code)


def table() -> str:
    """All sentences as the table in the README, in Markdown."""
    lines = ["| code | from | what the bot says | 机器人的提示 |", "|---|---|---|---|"]
    for row in (*SENTENCES, OTHER):
        codes = "anything else" if row is OTHER else " ".join(f"`{code}`" for code in row.codes)
        texts = (text.format(action="`ACTION`", code="`CODE`") for text in (row.en, row.zh))
        lines.append(f"| {codes} | {row.by} | {' | '.join(texts)} |")
    return "\n".join(lines)
