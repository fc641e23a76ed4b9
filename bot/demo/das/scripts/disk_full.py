"""Disk full: binary logs kept for a week and an audit table that nobody prunes."""

from bot.demo.upstream.script import Intent, Say, Text, Think, Tool, Topic

_FIND = Text(
    "I am checking how full `{instance}` is, how fast it fills, and with what.\n",
    "我先检查 `{instance}` 的空间用了多少、增长多快、被什么占用。\n",
)

_ANSWER = Text(
    """**`{instance}` has about 3 days left: 471.3 of 500 GB are used (94.3 %), and it grows by 9.6 GB a day. The \
quick remedy is the binary logs, which hold 142.6 GB; the lasting one is the table `audit_log`.** At 100 % the \
instance becomes read-only.

| What | GB | Share of used |
|---|---:|---:|
| Tables and indexes | 268.1 | 56.9 % |
| Binary logs (kept 168 h) | 142.6 | 30.3 % |
| Temporary files | 38.4 | 8.1 % |
| Undo logs | 15.7 | 3.3 % |
| Other | 6.5 | 1.4 % |

Of the tables, `audit_log` alone takes 121.4 GB, 31.2 GB of it free space inside the file. It accounts for 8.9 of \
the 9.6 GB growth per day; rows older than 90 days have not been read within the last month.

### What to do
1. **Today:** keep binary logs on the instance for 24 h instead of 168 h (console: Backup and Restoration, local log \
settings; uploaded backups stay). That frees about 122 GB and brings usage to 69.8 %.
2. **This week:** archive rows of `audit_log` older than 90 days, in small steps:
```sql
DELETE FROM audit_log WHERE created_at < NOW() - INTERVAL 90 DAY LIMIT 5000;
```
3. **Then** partition `audit_log` by month, so that old months can be dropped at no cost.

### Caveats
- Check first that no replica or CDC reader (Canal, DTS) is more than 24 h behind; it would lose its place.
- Deleting rows does not shrink the file; `OPTIMIZE TABLE` does, but needs about 90 GB for the copy, so \
after step 1 only.
- Do not delete files by hand. If it cannot wait, enlarging the disk works online.
""",
    """**`{instance}` 约 3 天后写满：500 GB 已用 471.3 GB（94.3%），每天增长 9.6 GB。\
见效最快的是清理 142.6 GB 的 binlog，治本要处理 `audit_log` 表。**用满后实例会变为只读。

| 占用项 | GB | 占已用比例 |
|---|---:|---:|
| 表和索引 | 268.1 | 56.9% |
| binlog（保留 168 小时） | 142.6 | 30.3% |
| 临时文件 | 38.4 | 8.1% |
| undo 日志 | 15.7 | 3.3% |
| 其他 | 6.5 | 1.4% |

仅 `audit_log` 就占 121.4 GB，其中 31.2 GB 是文件内的碎片空间。每天 9.6 GB 的增长中有 8.9 GB 来自它；\
90 天以前的数据最近一个月没有被读取过。

### 处理建议
1. **今天：**把本地 binlog 保留时间从 168 小时改为 24 小时（控制台：备份恢复，本地日志设置；\
已上传的备份不受影响）。约可释放 122 GB，使用率降到 69.8%。
2. **本周：**分小批归档 `audit_log` 中 90 天以前的数据：
```sql
DELETE FROM audit_log WHERE created_at < NOW() - INTERVAL 90 DAY LIMIT 5000;
```
3. **之后：**将 `audit_log` 按月分区，旧月份可直接删除分区。

### 注意
- 请先确认没有副本或 CDC 订阅（Canal、DTS）落后超过 24 小时，否则会丢失位点。
- 删除行不会缩小文件；`OPTIMIZE TABLE` 可以，但拷贝约需 90 GB，只能在第 1 步之后做。
- 不要手动删除文件。来不及时可以在线扩容磁盘。
""",
)

TOPIC = Topic(
    name="disk full",
    keywords=(
        "disk",
        "space",
        "storage",
        "full",
        "binlog",
        "read-only",
        "磁盘",
        "空间",
        "存储",
        "写满",
        "容量",
    ),
    finding=Text(
        "the 142.6 GB of binary logs and the growing table audit_log",
        "142.6 GB 的 binlog 和不断增长的 audit_log 表",
    ),
    stand_in="rm-bp1d6m0z4s9f3a7g1",
    actions=(
        Think(2.0),
        Say(_FIND),
        Tool(
            "GetStorageAnalysisResult",
            {"InstanceId": "{instance}", "Depth": "table"},
            {
                "TotalGB": 500,
                "UsedGB": 471.3,
                "DailyGrowthGB": 9.6,
                "EstimatedDaysLeft": 3.0,
                "Parts": {"Data": 268.1, "Binlog": 142.6, "Temp": 38.4, "Undo": 15.7, "Other": 6.5},
                "Tables": [
                    {"Name": "ops.audit_log", "GB": 121.4, "FreeInFileGB": 31.2, "DailyGrowthGB": 8.9},
                    {"Name": "shop.order_items", "GB": 64.8, "FreeInFileGB": 1.1, "DailyGrowthGB": 0.4},
                    {"Name": "shop.orders", "GB": 41.2, "FreeInFileGB": 0.6, "DailyGrowthGB": 0.3},
                ],
            },
            4.2,
        ),
        Tool(
            "DescribeBinlogSettings",
            {"InstanceId": "{instance}"},
            {"LocalRetentionHours": 168, "Files": 286, "DailyGB": 20.4, "UploadedToBackup": True},
            1.2,
        ),
        Tool(
            "GetTableAccess",
            {"InstanceId": "{instance}", "Table": "ops.audit_log", "Days": 30},
            {"ReadsByAge": {"0-7d": 41822, "8-90d": 967, "over 90d": 0}, "OldestRow": "3.1 years"},
            1.6,
        ),
        Think(1.0),
        Say(_ANSWER),
    ),
    replies={
        Intent.WHY: Text(
            """**Two habits add up.** The 142.6 GB of binary logs and the growing table `audit_log` I described \
above explain 56 % of what is used on `{instance}`.

- Binary logs: 20.4 GB are written a day, and seven days are kept. That amount is stable, so it is not what grows.
- `audit_log`: 8.9 GB a day are added and nothing is ever removed; its oldest row is 3.1 years old. This is the growth.

The 38.4 GB of temporary files come from large sorts; they are freed at the latest with a restart.
""",
            """**两个习惯叠加在一起。**上文所说的 142.6 GB 的 binlog 和不断增长的 `audit_log` 表占了 \
`{instance}` 已用空间的 56%。

- binlog：每天写 20.4 GB，保留七天，总量稳定，并不是增长的来源。
- `audit_log`：每天新增 8.9 GB，从不清理，最早的数据在 3.1 年前。增长来自这里。

38.4 GB 的临时文件来自大排序，最迟在重启时释放。
""",
        ),
        Intent.SAFE: Text(
            """**Shortening the retention is safe once every reader is less than 24 h behind.** It concerns the \
142.6 GB of binary logs I described above; uploaded backups on `{instance}` stay, so point-in-time recovery still works.

Deleting from `audit_log` is safe in steps of 5,000 rows with a pause in between; one big DELETE would fill the undo \
log and could make the disk full by itself. Ask whoever owns the audit data for how long it must be kept.
""",
            """**只要所有下游落后都不到 24 小时，缩短保留时间就是安全的。**它只涉及上文所说的 142.6 GB 的 binlog；\
`{instance}` 已上传的备份不受影响，仍可按时间点恢复。

`audit_log` 请每批删除 5,000 行并留有间隔；一次性大删除会撑大 undo，可能直接写满磁盘。\
另请向审计数据的负责人确认法定保留期限。
""",
        ),
        Intent.DURATION: Text(
            """**The binary logs: a few minutes after the setting is saved.** Then about 122 of the 142.6 GB I \
described above are free. Archiving `audit_log` on `{instance}` takes longer: in steps of 5,000 rows with one second \
between them, count on two to three nights. Until then 3 days remain; after the first step about 15.
""",
            """**binlog：保存设置后几分钟内。**上文所说的 142.6 GB 中约 122 GB 会被释放。在 `{instance}` 上归档 \
`audit_log` 更慢：每批 5,000 行、间隔一秒，预计两到三个夜间窗口。当前还剩 3 天，做完第一步后约有 15 天。
""",
        ),
        Intent.SQL: Text(
            """The retention of the binary logs I described above is a console setting; the rest is SQL. \
On `{instance}`:

```sql
-- repeat until 0 rows are affected, with a pause of one second
DELETE FROM audit_log WHERE created_at < NOW() - INTERVAL 90 DAY LIMIT 5000;

-- afterwards, in a quiet hour, with about 90 GB free
OPTIMIZE TABLE audit_log;
```
""",
            """上文所说的 binlog 保留时间在控制台设置，其余用 SQL。在 `{instance}` 上执行：

```sql
-- 重复执行到影响 0 行为止，每次间隔一秒
DELETE FROM audit_log WHERE created_at < NOW() - INTERVAL 90 DAY LIMIT 5000;

-- 之后在低峰期执行，需约 90 GB 剩余空间
OPTIMIZE TABLE audit_log;
```
""",
        ),
        Intent.OTHER: Text(
            """I measured `{instance}` again: 471.3 GB are used, so the 142.6 GB of binary logs and the growing \
table `audit_log` I described above are unchanged. The first step, keeping binary logs for 24 h, is \
still the one to take.
""",
            """我重新测量了 `{instance}`：已用 471.3 GB，上文所说的 142.6 GB 的 binlog 和不断增长的 `audit_log` 表\
没有变化。第一步仍然是把 binlog 保留时间改为 24 小时。
""",
        ),
    },
    recheck=Tool(
        "GetStorageAnalysisResult",
        {"InstanceId": "{instance}", "Depth": "instance"},
        {"TotalGB": 500, "UsedGB": 471.3},
        1.5,
    ),
)
