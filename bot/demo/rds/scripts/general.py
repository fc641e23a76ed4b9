"""Questions about no particular symptom: the instances of the region; and an answer that is taken back."""

from bot.demo.rds.script import Action, Reason, Replace
from bot.demo.upstream.script import Say, Text, Tool

OVERVIEW: tuple[Action, ...] = (
    Reason(Text("No symptom is named: list the instances first.", "没有提到具体现象，先列出实例。")),
    Tool(
        "DescribeDBInstances",
        {"RegionId": "{region}", "PageSize": 30},
        {
            "TotalRecordCount": 2,
            "Items": [
                {"DBInstanceId": "rm-bp1r7d5s9c3p8k2m4", "Engine": "MySQL", "DBInstanceStatus": "Running"},
                {
                    "DBInstanceId": "pgm-bp1t2v6x9z4w1y7u",
                    "Engine": "PostgreSQL",
                    "DBInstanceStatus": "Running",
                },
            ],
        },
        1.1,
    ),
    Say(
        Text(
            """There are two instances in `{region}`, both running:
1. `rm-bp1r7d5s9c3p8k2m4`, MySQL 8.0, CPU high since {clock-47}
2. `pgm-bp1t2v6x9z4w1y7u`, PostgreSQL 15, nothing remarkable

**Which of them is it about, and what do you notice?** For example: *diagnose rm-bp1r7d5s9c3p8k2m4*. \
I have only listed them; I looked into neither.
""",
            """`{region}` 有两个实例，均在运行：
1. `rm-bp1r7d5s9c3p8k2m4`，MySQL 8.0，{clock-47} 起 CPU 偏高
2. `pgm-bp1t2v6x9z4w1y7u`，PostgreSQL 15，没有异常

**请问是哪一个实例，有什么现象？**例如：“诊断 rm-bp1r7d5s9c3p8k2m4”。我只列出了实例，还没有深入检查。
""",
        )
    ),
)

REPLACED: tuple[Action, ...] = (
    Say(
        Text(
            "The password of the account is shown in the connection string of `{instance}`: ",
            "`{instance}` 的连接串里包含账号密码：",
        )
    ),
    Replace(
        Text(
            "I may not show connection strings. You find the address of `{instance}` in the RDS console, under "
            "*Database Connection*.\n",
            "我不能展示连接串。`{instance}` 的连接地址可在 RDS 控制台的*数据库连接*中查看。\n",
        )
    ),
)
