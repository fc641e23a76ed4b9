"""Slow SQL: one statement without a fitting index keeps the processors busy."""

from bot.demo.upstream.script import Intent, Say, Text, Think, Tool, Topic

_FIND = Text(
    "First the load of `{instance}` over the last hour, then the statements behind it.\n",
    "我先看 `{instance}` 最近一小时的负载，再定位背后的语句。\n",
)

_ANSWER = Text(
    """**`{instance}` is slow because of one statement: the order list of a user reads all of `orders`, since \
there is no index on `orders.user_id`.** It makes up 97 % of the slow time and keeps CPU at 96 %.

| Digest | Statement | Runs / h | Avg time | Rows read / run | Share |
|---|---|---:|---:|---:|---:|
| `7f3a91c2` | order list of a user | 14,212 | 1.84 s | 3,104,882 | 97.3 % |
| `b04e6d15` | sum over `order_items` | 96 | 4.20 s | 5,820,113 | 1.5 % |
| `2c77f0aa` | update of `carts` | 311 | 1.06 s | 12 | 1.2 % |

The first statement returns 20 rows but reads 3.1 million: `EXPLAIN` shows `type=ALL` and `Using filesort`. At \
14,212 runs an hour that occupies 7.3 of the 8 cores. The update of `carts` is a victim, not a cause: it reads \
12 rows and waits for a processor.

### What to do
```sql
ALTER TABLE orders
  ADD INDEX idx_user_created (user_id, created_at),
  ALGORITHM=INPLACE, LOCK=NONE;
```
With `created_at` as the second column the index also serves the sort, so about 20 rows are read instead of 3.1 \
million. I expect the statement to fall from 1.84 s to under 5 ms, and CPU to below 20 %.

### Before you run it
- Building takes about a minute, and the index about 95 MB; 212 GB are free.
- Reads and writes go on meanwhile, but a long transaction on `orders` makes the DDL wait for its metadata lock, \
and new statements behind it. There is none open now.
- Need relief at once? Limit this statement to 4 at a time with SQL throttling until the index is there.

Not looked at: whether the application can ask for less often than 4 times a second.
""",
    """**`{instance}` 变慢的原因是一条语句：`orders.user_id` 上缺少索引，查询用户订单列表时每次都全表扫描。**\
它占慢查询总耗时的 97%，使 CPU 维持在 96%。

| 模板 | 语句 | 次/小时 | 平均耗时 | 单次扫描行数 | 占比 |
|---|---|---:|---:|---:|---:|
| `7f3a91c2` | 用户订单列表 | 14,212 | 1.84 秒 | 3,104,882 | 97.3% |
| `b04e6d15` | 汇总 `order_items` | 96 | 4.20 秒 | 5,820,113 | 1.5% |
| `2c77f0aa` | 更新 `carts` | 311 | 1.06 秒 | 12 | 1.2% |

第一条语句只返回 20 行，却要读 310 万行：执行计划为 `type=ALL` 加 `Using filesort`。\
按每小时 14,212 次计算，它占满了 8 核中的 7.3 核。更新 `carts` 只读 12 行，\
是在等 CPU，属于受影响者，不是原因。

### 处理建议
```sql
ALTER TABLE orders
  ADD INDEX idx_user_created (user_id, created_at),
  ALGORITHM=INPLACE, LOCK=NONE;
```
把 `created_at` 放在第二列，排序也能利用该索引，扫描行数从 310 万降到约 20 行。\
预计单次耗时从 1.84 秒降到 5 毫秒以内，CPU 降到 20% 以下。

### 执行前请注意
- 建索引约需一分钟，索引约 95 MB，当前剩余空间 212 GB。
- 期间读写照常；但如果 `orders` 上有长事务，DDL 会等待元数据锁，\
后续语句也会排队。目前没有这样的事务。
- 如需立即缓解，可以先用 SQL 限流把该语句的并发限制为 4。

未检查的内容：应用能否降低每秒约 4 次的查询频率。
""",
)

TOPIC = Topic(
    name="slow SQL",
    keywords=("slow", "cpu", "index", "latency", "query", "performance", "慢", "索引", "性能", "查询", "卡"),
    finding=Text("the missing index on orders.user_id", "orders.user_id 缺少索引的问题"),
    stand_in="rm-bp1k7x4t9w2e5n8q3",
    actions=(
        Think(2.5),
        Say(_FIND),
        Tool(
            "GetPerformanceMetrics",
            {"InstanceId": "{instance}", "Metrics": "cpu_usage,active_session,qps", "Minutes": 60},
            {
                "InstanceId": "{instance}",
                "Cores": 8,
                "Series": [
                    {"Time": "{clock-60}", "cpu_usage": 88.9, "active_session": 9, "qps": 1204},
                    {"Time": "{clock-30}", "cpu_usage": 95.1, "active_session": 12, "qps": 1187},
                    {"Time": "{clock-1}", "cpu_usage": 96.4, "active_session": 14, "qps": 1169},
                ],
            },
            1.4,
        ),
        Tool(
            "GetSlowLogStatistic",
            {"InstanceId": "{instance}", "From": "{clock-60}", "To": "{clock-0}", "OrderBy": "TotalTime"},
            {
                "Total": 3,
                "Items": [
                    {
                        "Digest": "7f3a91c2",
                        "Sql": "SELECT id, status, amount, created_at FROM orders WHERE user_id = ? "
                        "ORDER BY created_at DESC LIMIT 20",
                        "Count": 14212,
                        "AvgSeconds": 1.84,
                        "MaxSeconds": 6.31,
                        "AvgRowsExamined": 3104882,
                        "AvgRowsSent": 20,
                    },
                    {
                        "Digest": "b04e6d15",
                        "Sql": "SELECT SUM(amount) FROM order_items WHERE created_at >= ?",
                        "Count": 96,
                        "AvgSeconds": 4.2,
                        "MaxSeconds": 7.02,
                        "AvgRowsExamined": 5820113,
                        "AvgRowsSent": 1,
                    },
                    {
                        "Digest": "2c77f0aa",
                        "Sql": "UPDATE carts SET items = ?, updated_at = NOW() WHERE session_id = ?",
                        "Count": 311,
                        "AvgSeconds": 1.06,
                        "MaxSeconds": 2.9,
                        "AvgRowsExamined": 12,
                        "AvgRowsSent": 0,
                    },
                ],
            },
            2.6,
        ),
        Tool(
            "GetQueryOptimizeAdvice",
            {"InstanceId": "{instance}", "Database": "shop", "Digest": "7f3a91c2"},
            {
                "Explain": [
                    {
                        "table": "orders",
                        "type": "ALL",
                        "possible_keys": None,
                        "key": None,
                        "rows": 3104882,
                        "Extra": "Using where; Using filesort",
                    }
                ],
                "Table": {"Rows": 3104882, "DataMB": 1940, "Indexes": ["PRIMARY(id)", "idx_status(status)"]},
                "Advice": {"Columns": ["user_id", "created_at"], "EstimatedIndexMB": 95, "EstimatedRows": 20},
                "FreeSpaceGB": 212,
            },
            1.9,
        ),
        Think(1.0),
        Say(_ANSWER),
    ),
    replies={
        Intent.WHY: Text(
            """**Because no index starts with `user_id`.** The missing index on `orders.user_id` I described above \
leaves MySQL one way to find a user's orders on `{instance}`: read all 3,104,882 rows, keep those of the user, sort \
them, return 20.

Why now, and not last month? The cost grows with the table. At a few hundred thousand rows the same plan took \
tens of milliseconds and nobody noticed; at 3.1 million it takes 1.84 s, and 14,212 runs an hour fill 7.3 of 8 \
cores. The only other index, `idx_status`, does not help: most orders have the same status.

I cannot see from the database whether a release also raised the number of calls; your deployment log would tell.
""",
            """**因为没有任何索引以 `user_id` 开头。**正如上文所述，`orders.user_id` 缺少索引，`{instance}` \
只能读完全部 3,104,882 行，筛出该用户的订单，排序后返回 20 行。

为什么现在才出现？因为代价随表增长。几十万行时同样的计划只要几十毫秒，没人察觉；\
到 310 万行就要 1.84 秒，每小时 14,212 次占满 8 核中的 7.3 核。现有的 `idx_status` 帮不上忙，\
因为大部分订单状态相同。

从数据库侧看不出是否有新版本提高了调用量，请结合发布记录确认。
""",
        ),
        Intent.SAFE: Text(
            """**Yes, in a quiet hour and with one check first.** Adding the missing index on `orders.user_id` I \
described above is an online change on `{instance}`: with `ALGORITHM=INPLACE, LOCK=NONE` reads and writes continue, \
and MySQL refuses the statement instead of locking if it cannot do it that way.

- **Metadata lock:** the DDL needs it for a moment at its start and end. Check that no long transaction holds \
`orders`; otherwise everything queues behind the DDL.
- **Replicas** replay the build, so expect about a minute of lag on read-only instances.
- **Undoing it** is quick: `ALTER TABLE orders DROP INDEX idx_user_created;`

```sql
SELECT trx_mysql_thread_id, trx_started FROM information_schema.innodb_trx
WHERE trx_started < NOW() - INTERVAL 60 SECOND;
```
No rows means you can start.
""",
            """**可以，建议在低峰期执行，并先做一项检查。**上文建议为 `orders.user_id` 补上缺少的索引，\
在 `{instance}` 上这是在线变更：指定 `ALGORITHM=INPLACE, LOCK=NONE` 时读写不中断；\
如果做不到在线执行，MySQL 会直接报错，而不会锁表。

- **元数据锁：**DDL 开始和结束时各需要一瞬间。请确认 `orders` 上没有长事务，否则后续语句会排队。
- **只读实例**会重放该变更，预计有约一分钟的延迟。
- **回退**很快：`ALTER TABLE orders DROP INDEX idx_user_created;`

```sql
SELECT trx_mysql_thread_id, trx_started FROM information_schema.innodb_trx
WHERE trx_started < NOW() - INTERVAL 60 SECOND;
```
结果为空即可开始。
""",
        ),
        Intent.DURATION: Text(
            """**About one minute for the build, plus a wait if a transaction is open.** The index on \
`orders.user_id` I recommended above covers 3.1 million rows (1.9 GB) on `{instance}`: reading the table takes 30 to \
40 s, sorting and writing 95 MB of index 15 to 20 s more. With the CPU at 96 % allow twice that.

The effect is immediate: the next run of the statement uses the index, and CPU should fall within a minute or two. \
This is an estimate from the table's size, not a measurement.
""",
            """**建索引约需一分钟，如果有未提交的事务还要加上等待时间。**上文建议的 `orders.user_id` 索引涉及 \
`{instance}` 上 310 万行（1.9 GB）：读表约 30 到 40 秒，排序并写入 95 MB 索引约 15 到 20 秒。\
目前 CPU 为 96%，请按两倍时间预留。

效果立即可见：下一次执行就会使用新索引，CPU 应在一两分钟内下降。以上是按表大小估算的，并非实测。
""",
        ),
        Intent.SQL: Text(
            """Here is the statement for the missing index on `orders.user_id` I described above, with a check \
before and after, for `{instance}`:

```sql
-- before: must return no rows
SELECT trx_mysql_thread_id, trx_started FROM information_schema.innodb_trx
WHERE trx_started < NOW() - INTERVAL 60 SECOND;

ALTER TABLE orders
  ADD INDEX idx_user_created (user_id, created_at),
  ALGORITHM=INPLACE, LOCK=NONE;

-- after: key must be idx_user_created
EXPLAIN SELECT id, status, amount, created_at FROM orders
WHERE user_id = 10001 ORDER BY created_at DESC LIMIT 20;
```
""",
            """针对上文所说的 `orders.user_id` 缺少索引，在 `{instance}` 上执行以下语句，前后各有一项检查：

```sql
-- 执行前：结果应为空
SELECT trx_mysql_thread_id, trx_started FROM information_schema.innodb_trx
WHERE trx_started < NOW() - INTERVAL 60 SECOND;

ALTER TABLE orders
  ADD INDEX idx_user_created (user_id, created_at),
  ALGORITHM=INPLACE, LOCK=NONE;

-- 执行后：key 应为 idx_user_created
EXPLAIN SELECT id, status, amount, created_at FROM orders
WHERE user_id = 10001 ORDER BY created_at DESC LIMIT 20;
```
""",
        ),
        Intent.OTHER: Text(
            """I checked `{instance}` again: nothing has changed since the missing index on `orders.user_id` I \
described above. CPU is at 96.2 %, and the order list of a user still reads 3.1 million rows per run.

So my advice stands: add `idx_user_created (user_id, created_at)` first, then look again. If you meant something \
else, ask me why it happens, whether the change is safe, how long it takes, or for the SQL.
""",
            """我重新检查了 `{instance}`：上文所说的 `orders.user_id` 缺少索引的问题没有变化。CPU 为 96.2%，\
用户订单列表每次仍扫描 310 万行。

因此建议不变：先添加 `idx_user_created (user_id, created_at)`，再看效果。\
您也可以继续问我：为什么会这样、变更是否安全、需要多久，或者具体的 SQL。
""",
        ),
    },
    recheck=Tool(
        "GetPerformanceMetrics",
        {"InstanceId": "{instance}", "Metrics": "cpu_usage,active_session", "Minutes": 5},
        {
            "InstanceId": "{instance}",
            "Series": [{"Time": "{clock-0}", "cpu_usage": 96.2, "active_session": 14}],
        },
        1.3,
    ),
)
