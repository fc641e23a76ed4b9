"""A change that needs somebody's consent: more connections, with a backup before it when two are asked for."""

from bot.demo.rds.script import Action, Reason, Round, Write
from bot.demo.rds.scripts.performance import ATTRIBUTE
from bot.demo.rds.scripts.sources import PARAMETERS
from bot.demo.upstream.script import Say, Text

_PARAMETER = Write(
    tool="ModifyParameter",
    description=Text(
        "Set max_connections from 800 to 1200 on {instance}",
        "将 {instance} 的 max_connections 从 800 改为 1200",
    ),
    arguments={
        "DBInstanceId": "{instance}",
        "Parameters": {"max_connections": "1200"},
        "Forcerestart": False,
    },
    result={"RequestId": "5E1A7C40-93B2-5D18-8F60-2B7D9C4E1A35", "DBInstanceId": "{instance}"},
    done=Text(
        "Done: `max_connections` of `{instance}` is 1200 now, without a restart. Connections already open were kept.\n",
        "已完成：`{instance}` 的 `max_connections` 现为 1200，没有重启，已有连接不受影响。\n",
    ),
    rejected=Text(
        "The change of `max_connections` was rejected, so `{instance}` stays at 800. Nothing was changed.\n",
        "修改 `max_connections` 的请求被拒绝，`{instance}` 仍为 800，没有做任何变更。\n",
    ),
)

_BACKUP = Write(
    tool="CreateBackup",
    description=Text("Back {instance} up before the change", "变更前备份 {instance}"),
    arguments={"DBInstanceId": "{instance}", "BackupMethod": "Physical"},
    result={"BackupJobId": "8846215"},
    done=Text("The backup of `{instance}` is made.\n", "`{instance}` 的备份已完成。\n"),
    rejected=Text("The backup was rejected and not made.\n", "备份请求被拒绝，没有执行。\n"),
)

_FORBIDDEN = Text(
    """**I may only read in this conversation, so I did not change anything.** To raise the limit of `{instance}` \
yourself, open *Parameters* in the RDS console and set `max_connections` from 800 to 1200; it takes effect without a \
restart.
""",
    """**在本次会话中我只有读权限，没有做任何变更。**如需调整 `{instance}`，请在 RDS 控制台的*参数设置*中将 \
`max_connections` 从 800 改为 1200，无需重启即可生效。
""",
)


def actions(writes: int) -> tuple[Action, ...]:
    """The script; with two `writes` a backup is asked for as well."""
    return (
        Reason(
            Text(
                "The limit can be raised without a restart, but that is a change: it needs consent.",
                "连接上限可以在线调整，但这是变更操作，需要先获得批准。",
            )
        ),
        ATTRIBUTE,
        PARAMETERS,
        Say(
            Text(
                "`{instance}` refuses connections at 800. Raising the limit to 1200 fits its memory.\n\n",
                "`{instance}` 的连接数达到 800 的上限。内存足够将上限提高到 1200。\n\n",
            )
        ),
        Round((_PARAMETER, _BACKUP)[:writes], _FORBIDDEN),
    )
