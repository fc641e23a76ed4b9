"""Replication lag with a tool that fails: the answer says what could not be checked."""

from bot.demo.upstream.script import Intent, Say, Text, Think, Tool, Topic

_FIND = Text(
    "I am comparing the primary and the replica of `{instance}`.\n",
    "我先比较 `{instance}` 的主实例与只读实例。\n",
)

_RETRY = Text(
    "The audit log did not answer; I try once more with a shorter period.\n",
    "审计日志没有返回结果，我缩短时间范围再试一次。\n",
)

_ANSWER = Text(
    """**The replica of `{instance}` is 847 s behind because it replays one large transaction: a DELETE of 2.6 \
million rows on `events`. It should catch up by itself in about 25 minutes. Who started it I could not find out: the \
audit log could not be read.**

| Check | Result |
|---|---|
| Replica lag | 847 s, growing by 0.4 s a second |
| Receiving changes | running, nothing missing |
| Applying changes | running, busy with one transaction since {clock-14} |
| Rows of it applied | 940,000 of 2,600,000 (36 %) |
| Primary key on `events` | present, so replay is not slowed by scans |
| **Who sent the DELETE** | **not checked: SQL Insight is not enabled** |

### What to do
1. Wait, and send reads that must be fresh to the primary meanwhile.
2. Do not restart the replica: the transaction would start from its first row again.
3. In future delete in steps, so that each one replays in less than a second:
```sql
DELETE FROM events WHERE created_at < ? ORDER BY id LIMIT 5000;
```

### What I could not check
`GetSqlInsightRecords` failed twice: SQL Insight and Audit is not enabled for this instance. So the sender and the \
exact text of the statement are unknown to me; table and row count come from the binary log. Once enabled, it records \
from that moment on, not backwards.
""",
    """**`{instance}` 的只读实例延迟 847 秒，因为它正在重放一个大事务：对 `events` 表删除 260 万行。\
预计约 25 分钟后自行追上。由于审计日志读取失败，我无法确定是谁发起的。**

| 检查项 | 结果 |
|---|---|
| 延迟 | 847 秒，每秒增加 0.4 秒 |
| 接收日志 | 正常，无缺失 |
| 应用日志 | 正常，自 {clock-14} 起在处理同一个事务 |
| 已重放行数 | 940,000 / 2,600,000（36%） |
| `events` 主键 | 存在，重放不需要全表扫描 |
| **DELETE 的发起者** | **未能检查：未开通 SQL 洞察** |

### 处理建议
1. 等待追上；期间要求数据最新的读请求请走主实例。
2. 不要重启只读实例，否则该事务会从第一行重新开始。
3. 以后请分批删除，让每一批在一秒内重放完：
```sql
DELETE FROM events WHERE created_at < ? ORDER BY id LIMIT 5000;
```

### 未能检查的内容
`GetSqlInsightRecords` 两次失败：该实例未开通 SQL 洞察和审计。因此我不知道语句的发起者和原文；\
表名和行数来自 binlog。开通后只记录之后的语句，无法追溯。
""",
)

_NOT_ENABLED = "DasProNotEnabled: SQL Insight and Audit is not enabled for instance {instance}"

TOPIC = Topic(
    name="replication lag",
    keywords=(
        "replica",
        "replication",
        "lag",
        "behind",
        "stale",
        "audit",
        "延迟",
        "同步",
        "只读",
        "复制",
        "审计",
    ),
    finding=Text(
        "the DELETE of 2.6 million rows that the replica replays", "只读实例正在重放的 260 万行 DELETE"
    ),
    stand_in="rm-bp1r2q7n9k4u6e1x5",
    actions=(
        Think(2.0),
        Say(_FIND),
        Tool(
            "DescribeReplicationStatus",
            {"InstanceId": "{instance}"},
            {
                "LagSeconds": 847,
                "IoThread": "Yes",
                "SqlThread": "Yes",
                "Applying": {"Since": "{clock-14}", "Table": "app.events", "Kind": "Delete", "Rows": 2600000},
                "RowsApplied": 940000,
            },
            1.8,
        ),
        Tool(
            "GetSqlInsightRecords",
            {"InstanceId": "{instance}", "From": "{clock-60}", "To": "{clock-0}", "Keyword": "DELETE events"},
            "",
            3.1,
            error=_NOT_ENABLED,
        ),
        Say(_RETRY),
        Tool(
            "GetSqlInsightRecords",
            {
                "InstanceId": "{instance}",
                "From": "{clock-20}",
                "To": "{clock-10}",
                "Keyword": "DELETE events",
            },
            "",
            1.2,
            error=_NOT_ENABLED,
        ),
        Tool(
            "DescribeTable",
            {"InstanceId": "{instance}", "Table": "app.events"},
            {"Rows": 88400000, "PrimaryKey": ["id"], "Indexes": ["idx_created(created_at)"]},
            0.9,
        ),
        Think(1.0),
        Say(_ANSWER),
    ),
    replies={
        Intent.WHY: Text(
            """**Because a replica applies a transaction only after the primary has committed all of it.** The DELETE \
of 2.6 million rows that the replica replays, which I described above, ran on the primary of `{instance}` first; then \
the replica had to start from its first row, and everything committed later waits behind it.

Who sent it, and why at that hour, remains open: the audit log could not be read.
""",
            """**因为只读实例要等主实例提交整个事务之后才能开始重放。**上文所说的只读实例正在重放的 260 万行 \
DELETE 先在 `{instance}` 主实例上执行完，只读实例再从第一行开始，之后提交的变更都排在它后面。

谁发起的、为什么在那个时间执行，仍然未知：审计日志无法读取。
""",
        ),
        Intent.SAFE: Text(
            """**Waiting is safe; nothing is lost.** While the replica of `{instance}` replays the DELETE of 2.6 \
million rows I described above it answers with data that is up to 15 minutes old. What is not safe: restarting it, or \
failing over to it, before it has caught up.
""",
            """**等待是安全的，不会丢数据。**`{instance}` 的只读实例在重放上文所说的 260 万行 DELETE 期间，\
读到的数据最多旧 15 分钟。不安全的做法是：在追上之前重启它，或切换到它。
""",
        ),
        Intent.DURATION: Text(
            """**About 25 minutes.** 940,000 of the 2.6 million rows of the DELETE I described above were applied in \
14 minutes, which is some 1,100 a second on `{instance}`; the other 1,660,000 take 25 minutes at that speed. Changes \
that queued up meanwhile need a few minutes more.
""",
            """**约 25 分钟。**上文所说的 260 万行 DELETE，14 分钟内已重放 940,000 行，即 `{instance}` 上每秒约 \
1,100 行；剩余 1,660,000 行还需 25 分钟，期间积压的变更再需几分钟。
""",
        ),
        Intent.SQL: Text(
            """Instead of the one DELETE of 2.6 million rows I described above, delete in steps on `{instance}`:

```sql
DELETE FROM events WHERE created_at < ? ORDER BY id LIMIT 5000;  -- repeat until 0 rows
```
And to watch the replica catch up: `SHOW SLAVE STATUS\\G`, field `Seconds_Behind_Master`.
""",
            """不要像上文所说那样一次 DELETE 260 万行，在 `{instance}` 上请分批删除：

```sql
DELETE FROM events WHERE created_at < ? ORDER BY id LIMIT 5000;  -- 重复到 0 行为止
```
观察追赶进度：`SHOW SLAVE STATUS\\G` 的 `Seconds_Behind_Master`。
""",
        ),
        Intent.OTHER: Text(
            """I looked again at `{instance}`: the DELETE of 2.6 million rows that the replica replays, which I \
described above, has come to 1,010,000 rows. My advice stands: wait, and do not restart the replica.
""",
            """我重新检查了 `{instance}`：上文所说的只读实例正在重放的 260 万行 DELETE 已进行到 1,010,000 行。\
建议不变：等待，不要重启只读实例。
""",
        ),
    },
    recheck=Tool(
        "DescribeReplicationStatus",
        {"InstanceId": "{instance}"},
        {"LagSeconds": 871, "RowsApplied": 1010000, "SqlThread": "Yes"},
        1.2,
    ),
)
