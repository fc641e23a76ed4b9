"""Questions no script fits: a health overview of the instance named, or a question back."""

from bot.demo.upstream.script import Action, Say, Text, Think, Tool

_ENGINES = {"rm": "RDS", "pc": "PolarDB", "dds": "MongoDB", "r": "Redis"}

_ASK_BACK = Say(
    Text(
        """**Which instance is it about?** I have not looked at anything yet, because your question names no instance \
and does not describe a symptom I know where to look for.

Tell me, as far as you know:
- the instance id (`rm-…`, `pc-…`, `dds-…` or `r-…`), best copied from the console
- what you notice: slow statements, errors, lock waits, a full disk, too many connections, a replica that lags
- since when, and what changed at about that time

For example: *why is rm-bp1k7x4t9w2e5n8q3 slow since this morning?* I read metrics, sessions, slow logs and storage \
figures by myself, and I change nothing without being asked.
""",
        """**请问是哪个实例？**您的问题没有写明实例，也没有描述我能直接定位的症状，所以我还没有检查任何内容。

请告诉我您知道的信息：
- 实例 ID（`rm-…`、`pc-…`、`dds-…` 或 `r-…`），可从控制台复制
- 现象：语句慢、报错、锁等待、磁盘写满、连接过多、只读实例延迟等
- 从什么时候开始，那段时间有什么变更

例如：“rm-bp1k7x4t9w2e5n8q3 从今天早上开始为什么变慢？”指标、会话、慢日志和空间数据我会自己读取；\
没有您的要求，我不会做任何变更。
""",
    )
)

_LOOK = Say(
    Text(
        "I am taking a general look at `{instance}`: load, errors and space over the last hour.\n",
        "我先对 `{instance}` 做一次整体检查：最近一小时的负载、错误和空间。\n",
    )
)

_OVERVIEW = Say(
    Text(
        """**I see nothing alarming on `{instance}` in the last hour, and I cannot tell from the figures alone whether \
that answers your question.**

| Checked | Last hour | Usual (7 days) | Judgement |
|---|---:|---:|---|
| CPU | 41 % (peak 63 %) | 38 % | normal |
| Memory | 72 % | 71 % | normal |
| Connections | 186 of 2,000 | 180 | normal |
| Slow requests | 14 | 11 | normal |
| Errors in the log | 3 | 2 | normal |
| Space | 58 % of 500 GB | 57 % | normal |

### What this does and does not say
- Averages hide short peaks. The one of 63 % CPU at {clock-22} lasted under a minute; I did not look into it.
- I looked at the instance, not at the network between it and the application, nor at single statements.
- Configuration, backups and permissions were not part of this look.

### How to go on
Tell me what you notice and since when, and I look there. I can examine slow statements, lock waits, space, \
connections or replication of `{instance}` one by one; ask for a *full report* if you want all tables.
""",
        """**最近一小时 `{instance}` 没有明显异常；但仅凭这些数据，我不能确定它是否回答了您的问题。**

| 检查项 | 最近一小时 | 近 7 天平均 | 判断 |
|---|---:|---:|---|
| CPU | 41%（峰值 63%） | 38% | 正常 |
| 内存 | 72% | 71% | 正常 |
| 连接 | 186 / 2,000 | 180 | 正常 |
| 慢请求 | 14 | 11 | 正常 |
| 错误日志 | 3 | 2 | 正常 |
| 空间 | 500 GB 的 58% | 57% | 正常 |

### 这些数据的含义和局限
- 平均值会掩盖短时峰值。{clock-22} 的 CPU 峰值 63% 持续不到一分钟，我没有深入分析。
- 我检查的是实例本身，不包括它与应用之间的网络，也没有逐条分析语句。
- 参数配置、备份和权限不在本次检查范围内。

### 接下来
请告诉我您看到的现象和开始时间，我就从那里查起。我可以逐项检查 `{instance}` 的慢语句、锁等待、空间、连接或复制延迟；\
如需所有表的情况，请让我出一份“完整报告”。
""",
    )
)


def actions(instance: str) -> tuple[Action, ...]:
    """What the agent does for a question it has no script for; `instance` may be empty."""
    if not instance:
        return (Think(2.0), _ASK_BACK)
    metrics = Tool(
        "GetPerformanceMetrics",
        {"InstanceId": "{instance}", "Engine": _ENGINES[instance.partition("-")[0]], "Minutes": 60},
        {
            "Cpu": {"Avg": 41, "Peak": 63, "PeakAt": "{clock-22}", "Usual": 38},
            "Memory": {"Avg": 72, "Usual": 71},
            "Connections": {"Now": 186, "Max": 2000, "Usual": 180},
            "SlowRequests": {"Count": 14, "Usual": 11},
        },
        2.2,
    )
    inspection = Tool(
        "GetInstanceInspections",
        {"InstanceId": "{instance}"},
        {
            "Score": 92,
            "Errors": 3,
            "ErrorsUsual": 2,
            "Space": {"UsedPercent": 58, "TotalGB": 500, "UsualPercent": 57},
        },
        1.6,
    )
    return (Think(2.0), _LOOK, metrics, inspection, Think(1.0), _OVERVIEW)
