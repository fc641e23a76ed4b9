"""What the agent says and its tools answer in the gallery: a made-up shop's database on a bad morning."""

from __future__ import annotations

import json

from bot.model.event import Source

THOUGHTS = """The person says the instance is slow but not since when. CPU and active sessions will tell.
If CPU is high, the slow log of the same minutes comes next, grouped by shape.
"""
FIRST_WORDS = """CPU on **rm-bp1demo0001** rose to 91 % at 09:42. One statement shape explains most of it: a lookup on
`orders.user_id` that reads the whole table, 118 times in the last hour.
"""
DIAGNOSIS = """
**One missing index is behind the slowdown.**

| Statement | Calls | Mean |
|---|---:|---:|
| `SELECT id, status FROM orders WHERE user_id = ?` | 118 | 4.2 s |
| `SELECT * FROM orders ORDER BY created_at DESC` | 41 | 1.1 s |

The first reads 4.1 million rows each time. The index brings it to about 3 ms:

```sql
CREATE INDEX idx_orders_user_id ON orders (user_id);
```

It takes about two minutes online; replication lag may rise meanwhile.
"""
METRICS = json.dumps({"InstanceId": "rm-bp1demo0001", "cpu_usage": 91.4, "active_session": 38})
SLOW_LOG = json.dumps(
    [
        {"sql": "SELECT id, status FROM orders WHERE user_id = ?", "calls": 118, "mean_s": 4.2},
        {"sql": "SELECT * FROM orders ORDER BY created_at DESC", "calls": 41, "mean_s": 1.1},
    ]
)
ADVICE = json.dumps({"table": "orders", "advice": "idx_orders_user_id (user_id)", "benefit": 0.97})
WITHOUT_LOCKS = """CPU is at 91 % and the slow log names one statement. Whether locks add to it I could not see: that
call timed out. Ask again when the load has gone down.
"""
FROM_DOCUMENTS = """Yes. **Storage grows automatically** by 10 % or 20 GB, whichever is more, once 85 % are used:

- at most up to the ceiling you set;
- while it grows the instance keeps its connections;
- it never shrinks again by itself.
"""
SOURCES = [
    Source("Configure automatic storage expansion", "https://help.example.com/rds/storage-auto-scale"),
    Source("Billing of storage", "https://help.example.com/rds/billing?topic=storage&lang=en"),
    Source("Read-only instances", "https://help.example.com/rds/read-only"),
    Source("An internal note without an address"),
    Source("Alerts on disk usage", "https://help.example.com/cms/disk-alerts"),
    Source("Choosing a storage class", "https://help.example.com/rds/essd"),
    Source("Shrinking an instance", "https://help.example.com/rds/shrink"),
    Source("Limits", "https://help.example.com/rds/limits"),
]
TABLE = """## Space on rm-bp1demo0003

| Table | Rows | Data | Index | Fragments |
|:--|--:|--:|--:|:-:|
| `order_events` | 812,004,113 | 214.0 GB | 96.2 GB | 3 % |
| `orders` | 41,233,871 | 38.1 GB | 22.7 GB | **31 %** |
| `audit_log` | 9,120,554 | 17.9 GB | 1.1 GB | 2 % |

What I would do, in this order:

1. Archive `order_events` older than 90 days
   - about 160 GB, in batches of 10,000 rows
     - never between 08:00 and 22:00
   - then drop the partitions
2. Rebuild `orders` :wrench:
   - online, it needs 45 GB free for the time

> Until then raise the disk by 100 GB.
"""
CHINESE = """**缺少索引。**实例 `rm-bp1demo0001` 的 CPU 从 09:42 起升至 91%，原因是**“全表扫描”**造成的：

| 语句 | 次数 | 平均耗时 |
|---|---:|---:|
| `SELECT id FROM orders WHERE user_id = ?` | 118 | 4.2 秒 |

建议执行：

```sql
ALTER TABLE orders ADD INDEX idx_user_id (user_id);
```

1. 在**低峰期**执行，约需两分钟；
2. 执行期间关注主从延迟。
"""
CHINESE_THOUGHTS = """用户说实例变慢，但没有说明开始时间。先看 CPU 和活跃会话。
如果 CPU 很高，再按语句类型查看同一时段的慢日志。
"""
CHINESE_FIRST_WORDS = """实例 **rm-bp1demo0001** 的 CPU 在 09:42 升至 91%。大部分负载来自同一类语句：
按 `orders.user_id` 查询时读取整张表，过去一小时共 118 次。
"""
CHAPTER = """## {number}. What the hour showed

Sessions waited for a row lock on `orders` for 12 s on average. The holder was a batch job that updates statuses one by
one, in a transaction of its own for each customer, and commits late. While it ran, every checkout of the same customer
had to wait, and the pool of connections filled up with them. After the job had ended the waits fell to zero within a
minute, and the sessions that had piled up were gone two minutes later.

- Longest wait: 31 s, ended by the client
- Sessions that gave up: 17
- Rows held by the job: 20,480

"""
WRITE = json.dumps({"InstanceId": "rm-bp1demo0001", "Parameters": {"innodb_buffer_pool_size": "25769803776"}})
INSTANCES = ("rm-bp1demo0001 (Hangzhou)", "rm-bp1demo0002 (Shanghai)")
