"""What the bot itself says to people, in English and Chinese."""

from __future__ import annotations

from bot.model.question import Language

_WORDS: dict[str, tuple[str, str]] = {
    "starting": ("On it · {seconds}", "收到，处理中 · {seconds}"),
    "thinking": ("Thinking · {seconds}", "思考中 · {seconds}"),
    "writing": ("Writing · {seconds}", "正在回答 · {seconds}"),
    "calling": ("Calling *{name}* · {seconds}", "正在调用 *{name}* · {seconds}"),
    "in_step": ("*{name}* at work · {seconds}", "*{name}* 执行中 · {seconds}"),
    "waiting_slot": (
        "Waiting: place {place} in the queue of this agent ({limit} at a time)",
        "排队中：当前智能体队列第 {place} 位（同时处理 {limit} 个）",
    ),
    "waiting_thread": (
        "Waiting: {place} before this one in the thread",
        "排队中：本话题前面还有 {place} 个问题",
    ),
    "waiting_service": (
        "The service is busy, trying again in {seconds} s",
        "服务繁忙，{seconds} 秒后重试",
    ),
    "seconds": ("{count} s", "{count} 秒"),
    "minutes": ("{minutes} min {seconds} s", "{minutes} 分 {seconds} 秒"),
    "hours": ("{hours} h {minutes} min", "{hours} 小时 {minutes} 分"),
    "still": ("still working, {minutes} min", "仍在处理，已 {minutes} 分钟"),
    "thought": ("What the agent thought", "思考过程"),
    "sources": ("Sources:", "参考资料："),
    "more_sources": ("and {count} more", "以及另外 {count} 篇"),
    "wants": (
        "*The agent waits for a decision.* It wants to run *{tool}*",
        "*智能体等待审批。* 它要执行 *{tool}*",
    ),
    "wants_for": ("{wants}: {why}", "{wants}：{why}"),
    "decide": (
        "Decide in the <{url}|console of RDS>. The button below approves nothing: it lets the agent go on "
        "once you have decided there.",
        "请在 <{url}|RDS 控制台> 中审批。下方按钮不代表批准：在控制台处理后点击它，智能体才会继续。",
    ),
    "asks": ("*The agent asks:*", "*智能体提问：*"),
    "choose": ("Choose one, or answer in the thread.", "请选择，或直接在话题中回复。"),
    "answer_here": ("Answer in the thread.", "请在话题中回复。"),
    "paused": ("The agent waits for a decision.", "智能体等待您的决定。"),
    "decided_by": ("Decided by <@{by}>, {at}", "由 <@{by}> 决定，{at}"),
    "answered_in_words": ("<@{by}> has answered in the thread.", "<@{by}> 已在话题中回复。"),
    "arguments": ("Arguments", "参数"),
    "result": ("Result", "结果"),
    "error": ("Error", "错误"),
    "cut": (
        "… {shown} of {total} characters shown",
        "… 共 {total} 个字符，仅显示前 {shown} 个",
    ),
    "cut_in_file": (
        "… {shown} of {total} characters shown, all of them in the file below",
        "… 共 {total} 个字符，仅显示前 {shown} 个，完整内容见下方文件",
    ),
    "unfinished": ("did not finish", "未完成"),
    "failed": ("failed", "失败"),
    "sub_agent": ("sub-agent · {count} calls", "子智能体 · {count} 次调用"),
    "sub_agent_0": ("sub-agent", "子智能体"),
    "sub_agent_1": ("sub-agent · 1 call", "子智能体 · 1 次调用"),
    "rows": ("{count} rows", "{count} 行"),
    "earlier": ("{count} earlier tool calls", "更早的 {count} 次工具调用"),
    "more": ("… and {count} more", "… 以及另外 {count} 次"),
    "more_options": ("… and {count} more", "… 以及另外 {count} 项"),
    "left_out": (
        "_Too long for a chat: {count} characters are left out here; below is how it goes on and ends._",
        "_回答过长：此处省略 {count} 个字符，以下是其后续与结尾。_",
    ),
    "whole_answer": ("The whole answer", "完整回答"),
    "all_calls": ("All tool calls", "全部工具调用"),
    "file_cut": ("… cut here: {total} characters in all", "… 到此为止：共 {total} 个字符"),
    "continues": ("_Goes on in the next message._", "_下一条消息继续。_"),
    "replaced": ("_This part of the answer was replaced._", "_此部分回答已被替换。_"),
    "continued": ("_Goes on from the message above._", "_接上一条消息。_"),
    "tool_calls": ("{count} tool calls", "{count} 次工具调用"),
    "tool_calls_1": ("1 tool call", "1 次工具调用"),
    "characters": ("{count} characters", "{count} 字符"),
    "characters_about": ("≈ {count} characters", "≈ {count} 字符"),
    "stopped": (
        "Stopped listening at <@{by}>'s wish. What had come is kept; the agent may still finish its run unseen.",
        "已应 <@{by}> 的要求停止接收。已收到的内容保留；智能体可能仍会在后台完成本次运行。",
    ),
    "stopped_for_good": (
        "Stopped by <@{by}>. What had come is kept; the agent's run has ended, too.",
        "已由 <@{by}> 停止。已收到的内容保留；智能体的运行也已结束。",
    ),
    "stopped_early": (
        "Stopped by <@{by}> before it was asked; nothing ran.",
        "<@{by}> 在提问发出前已停止；未执行任何操作。",
    ),
    "stopped_decided": (
        "Stopped by <@{by}> before it went on; what is decided in the console stays decided.",
        "<@{by}> 在继续运行前已停止；已在控制台中作出的决定仍然有效。",
    ),
    "stopped_unanswered": (
        "Stopped by <@{by}> before it went on; the agent has not got the answer to what it asked.",
        "<@{by}> 在继续运行前已停止；对智能体提问的回复尚未提交。",
    ),
    "interrupted": (
        "The bot restarted in the middle of this answer. What had come is kept; the question was not asked again.",
        "机器人在回答过程中重启。已收到的内容保留；问题没有重复提交。",
    ),
    "outdated": (
        "The bot was away in the middle of this answer, for too long to answer now. What had come is kept; the "
        "question was not asked again.",
        "机器人在回答过程中离线过久，未再获取回答。已收到的内容保留；问题没有重复提交。",
    ),
    "stale": (
        "This question waited longer than {minutes} minutes and was not asked. Ask again if you still need the answer.",
        "该问题等待超过 {minutes} 分钟，未提交。如仍需要，请重新提问。",
    ),
    "unasked": (
        "I could not write in <#{channel}>, so your question there was not asked. Reference {reference}",
        "我无法在 <#{channel}> 发言，因此您在那里的问题没有提交。编号 {reference}",
    ),
    "unshown": (
        "I could not write in <#{channel}>, so the answer to your question there is not shown. Reference {reference}",
        "我无法在 <#{channel}> 发言，因此您在那里的问题的回答未能显示。编号 {reference}",
    ),
    "session_gone": (
        "The agent had forgotten what was said in this thread; it answered without it.",
        "智能体已不记得本话题之前的内容，此回答未参考上文。",
    ),
    "not_decided": (
        ":hourglass: Nothing has been decided in the console yet.",
        ":hourglass: 控制台中尚未做出决定。",
    ),
    "nothing": ("The agent ended without an answer.", "智能体未给出回答。"),
    "too_much": (
        "The agent sent more than can be kept: the end of its text, or some of its tool calls, are missing here.",
        "智能体返回的内容过多，无法完整保留：此处缺少部分文本或工具调用。",
    ),
    "empty": (
        "What shall I look at? For example: why is rm-bp1… slow?",
        "想让我查什么？例如：rm-bp1… 为什么变慢了？",
    ),
    "too_long": (
        "The question has {count} characters; the agent takes at most {limit}. Please shorten it.",
        "问题共 {count} 个字符，智能体最多接受 {limit} 个，请缩短后重试。",
    ),
    "full": (
        "{count} questions already wait in this thread. Please wait for an answer, or stop one.",
        "本话题已有 {count} 个问题在排队，请等待回答或先停止其中一个。",
    ),
    "many_wait": (
        "{count} questions wait before this one. It is kept; its reply appears when its turn comes.",
        "前面还有 {count} 个问题在排队。您的问题已收到，轮到时会在此回复。",
    ),
    "all_busy": (
        "As many questions are being answered as I can take at once. Yours is kept; its reply appears when its turn "
        "comes.",
        "正在回答的问题已达上限。您的问题已收到，轮到时会在此回复。",
    ),
    "crowded": (
        "{count} questions already wait in the workspace, more than can be answered soon. Please ask again later.",
        "工作区已有 {count} 个问题在排队，暂时无法处理更多，请稍后再问。",
    ),
    "denied_user": (
        "You are not on the list of people who may ask me. The bot's operators can add you.",
        "您不在允许提问的人员名单中，请联系机器人管理员添加。",
    ),
    "denied_channel": (
        "I do not answer in this channel. Ask me in one where I may, or ask the bot's operators to add it.",
        "我在此频道不提供回答。请到允许的频道提问，或联系机器人管理员添加。",
    ),
    "denied_external": (
        "I answer only people of the company that runs me.",
        "我只回答本公司成员的问题。",
    ),
    "not_known": (
        "Slack did not tell me in time who you are. Please try again in a moment.",
        "Slack 未能及时告知我您的身份，请稍后再试。",
    ),
    "asked": ("<@{user}> asked: {text}", "<@{user}> 提问：{text}"),
    "invite": (
        "I cannot post in this channel yet. Invite me with `/invite @das`, then ask again.",
        "我还不能在此频道发言。请先用 `/invite @das` 邀请我，然后重试。",
    ),
    "wrong": (
        "Something went wrong on our side. {reference}",
        "我们这边出了点问题。{reference}",
    ),
    "reference": ("Reference {reference}", "编号 {reference}"),
    "asked_again": ("That was asked again already; see below.", "该问题已重新提交，请看下方。"),
    "uncertain": (
        "It is not certain that I noted your question. If no message with it appears here within a minute, "
        "please ask again. Reference {reference}",
        "无法确定是否已收到您的问题。如果一分钟内这里没有出现该问题，请重新提问。编号 {reference}",
    ),
    "not_yours": (
        "Only <@{owner}>, who asked, approvers and admins can stop this.",
        "只有提问者 <@{owner}>、审批人或管理员可以停止。",
    ),
    "not_approver": ("Only {who} or an admin can let this go on.", "只有 {who} 或管理员可以让其继续。"),
    "not_approver_listed": ("Only {who} can let this go on.", "只有 {who} 可以让其继续。"),
    "decided": (
        "<@{by}> has decided that already; this thread shows what came of it.",
        "<@{by}> 已作出决定，结果见此话题。",
    ),
    "decided_waits": (
        "Noted. It goes on when the question before it has ended.",
        "已记录。前一个问题结束后将继续。",
    ),
    "agent_unknown": (
        "I know no agent of that name. Write one of {known}, and an agent id after it if you want.",
        "没有这个名称的智能体。请填写 {known} 之一，其后可加智能体 ID。",
    ),
    "agent_absent": (
        "`{service}` is not set up here. The bot's operators can do that.",
        "此处未配置 `{service}`，请联系机器人管理员。",
    ),
    "agent_malformed": (
        "That is no agent id. Write it like `{example}`.",
        "智能体 ID 格式不正确，请按 `{example}` 的形式填写。",
    ),
    "agent_here": ("*{agent}* answers new threads here: {why}.", "此处新话题由 *{agent}* 回答：{why}。"),
    "why_channel": ("chosen for this channel", "本频道的设置"),
    "why_workspace": ("chosen for the workspace", "工作区的设置"),
    "why_default": ("nobody has chosen another", "默认设置"),
    "agent_how": (
        "Admins choose with `/das-agent rds`, `/das-agent das ag-abc123` or `/das-agent default`; with `workspace` "
        "before it, for all channels. A thread stays with its agent until somebody writes `@das use rds` in it.",
        "管理员可用 `/das-agent rds`、`/das-agent das ag-abc123` 或 `/das-agent default` 进行设置；"
        "在前面加 `workspace` 则对所有频道生效。已有话题不受影响，在话题中发送 `@das 改用 rds` 可切换。",
    ),
    "agent_set": (
        "From now on *{agent}* answers new threads {where}.",
        "从现在起，{where}新话题由 *{agent}* 回答。",
    ),
    "agent_unset": ("Nothing is chosen {where} any more.", "{where}的设置已取消。"),
    "where_channel": ("in this channel", "本频道"),
    "where_workspace": ("in the workspace", "工作区"),
    "not_admin": (
        "Only admins choose the agent. `/das-agent` alone shows which one answers here.",
        "只有管理员可以选择智能体。单独输入 `/das-agent` 可查看当前设置。",
    ),
    "moved": (
        "<@{user}> moved this thread: from now on it asks *{agent}*, in a new session that knows nothing of what was "
        "said before.",
        "<@{user}> 切换了智能体：本话题从现在起由 *{agent}* 回答。这是新的会话，不包含之前的内容。",
    ),
    "moved_already": ("This thread asks *{agent}* already.", "本话题已由 *{agent}* 回答。"),
    "spent_person": (
        "You have used up what you may spend today: {spent} of {limit} characters. It renews at {renews}.",
        "您今天的用量已用完：{spent} / {limit} 字符。将于 {renews} 重置。",
    ),
    "spent_channel": (
        "This channel has used up what it may spend today: {spent} of {limit} characters. It renews at {renews}.",
        "本频道今天的用量已用完：{spent} / {limit} 字符。将于 {renews} 重置。",
    ),
    "spent_workspace": (
        "The workspace has used up what it may spend today: {spent} of {limit} characters. It renews at {renews}.",
        "工作区今天的用量已用完：{spent} / {limit} 字符。将于 {renews} 重置。",
    ),
    "usage_usage": (
        "Write how many days to show, from 1 to {most}: `/das-usage 7`",
        "请填写要查看的天数（1 到 {most}）：`/das-usage 7`",
    ),
    "usage_all": (
        "*Characters used*, last {days} days, {runs} runs (≈: partly estimated)",
        "*字符用量*，最近 {days} 天，共 {runs} 次运行（≈：部分为估算）",
    ),
    "usage_yours": (
        "*Characters you used*, last {days} days (≈: partly estimated)",
        "*您的字符用量*，最近 {days} 天（≈：部分为估算）",
    ),
    "usage_here": ("*Used in {channel}*", "*{channel} 的用量*"),
    "usage_agents": ("*By agent*", "*按智能体*"),
    "usage_channels": ("*Top channels*", "*用量最多的频道*"),
    "usage_people": ("*Top people*", "*用量最多的成员*"),
    "usage_left": ("*Left today*, until {renews}", "*今日剩余*，{renews} 重置"),
    "left_person": ("you: {left} of {limit}", "您：{left} / {limit}"),
    "left_channel": ("this channel: {left} of {limit}", "本频道：{left} / {limit}"),
    "left_workspace": ("the workspace: {left} of {limit}", "工作区：{left} / {limit}"),
    "comment_title": ("About this answer", "关于该回答"),
    "comment_label": ("What was good or wrong?", "哪里好，哪里有问题？"),
    "comment_kept": ("Thank you for the comment.", "感谢您的评论。"),
    "b_comment": ("Add a comment", "添加评论"),
    "b_send": ("Send", "发送"),
    "b_cancel": ("Cancel", "取消"),
    "over": ("That run is already over.", "该次运行已结束。"),
    "new_session": (
        "The next question in this thread begins a new session.",
        "本话题的下一个问题将开启新的会话。",
    ),
    "thanks": ("Thank you, noted.", "谢谢，已记录。"),
    "nothing_running": ("Nothing is running in this thread.", "本话题没有正在进行的任务。"),
    "nothing_here": ("Nothing of yours is running here.", "您在此处没有正在进行的任务。"),
    "stopping": ("Stopping “{question}”.", "正在停止「{question}」。"),
    "b_stop": ("Stop", "停止"),
    "b_again": ("Ask again", "重新提问"),
    "b_session": ("New session", "新会话"),
    "b_continue": ("Decided, continue", "已处理，继续"),
    "b_good": ("Good answer", "回答有用"),
    "b_bad": ("Bad answer", "回答无用"),
}


def say(key: str, language: Language, **values: object) -> str:
    """A sentence in the asker's language."""
    return _WORDS[key][language == "zh"].format(**values)


def duration(seconds: float, language: Language, *, running: bool = False) -> str:
    """A duration as people write it: "1.8 s", "42 s", "4 min 05 s", "1 h 02 min"; whole seconds while it runs."""
    if seconds < _TENTHS_BELOW and not running:
        return say("seconds", language, count=f"{seconds:.1f}")
    # Of what runs only the seconds that have passed count.
    whole = int(seconds) if running else round(seconds)
    if whole < 60:
        return say("seconds", language, count=whole)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return say("minutes", language, minutes=minutes, seconds=f"{rest:02d}")
    return say("hours", language, hours=minutes // 60, minutes=f"{minutes % 60:02d}")


_TENTHS_BELOW = 9.95
"""Seconds up to which tenths are told: beyond they would round to "10.0 s"."""


USAGE_ASK = "Usage: `/{service}-ask <question>` · 用法：`/{service}-ask <问题>`"
USAGE_DIAGNOSE = (
    "Usage: `/{service}-diagnose <instance> [what is wrong]`, for example "
    "`/{service}-diagnose rm-bp1abc slow since 9:40` · 用法：`/{service}-diagnose <实例> [现象]`"
)
HELP = """*Ask the database agents*
• In a channel: mention me. `@das why is rm-bp1abc slow?`
• In a direct message: just write.
• In a thread I answer in: ask on without mentioning me; I remember what was said.
• `/das-diagnose <instance> [what is wrong]` · `/das-ask <question>`, and `/rds-diagnose` · `/rds-ask` for RDS Copilot
• `/das-agent`: which agent answers here · `/das-usage`: what it cost · `/das-help`
• Another agent in a thread: write `@das use rds` or `@das use das` there.
• Stop: the button under a running answer, or write `stop` in its thread; for who asked, approvers and admins.
One thread is one session; its questions are answered in order. Open a fold to see what a tool was asked and said.

*向数据库智能体提问*
• 在频道中 @我；在私信中直接写；在我回答过的话题中可直接追问，无需再 @。
• `/das-diagnose <实例> [现象]` · `/das-ask <问题>`；RDS Copilot 请用 `/rds-diagnose` · `/rds-ask`
• `/das-agent`：此处由谁回答 · `/das-usage`：用量 · `/das-help`
• 在话题中切换智能体：发送 `@das 改用 rds` 或 `@das 改用 das`。
• 停止：点击回答下方的按钮，或在话题中发送 `停止`；限提问者、审批人和管理员。"""
