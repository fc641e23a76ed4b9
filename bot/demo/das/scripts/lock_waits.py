"""Lock waits: a transaction left open by a batch job holds rows that checkout needs."""

from bot.demo.upstream.script import Intent, Say, Text, Think, Tool, Topic

_FIND = Text(
    "I am looking for who waits on `{instance}`, and for whom.\n",
    "我先查看 `{instance}` 上谁在等锁、在等谁。\n",
)

_ANSWER = Text(
    """**Session 918273 on `{instance}` holds the locks: a transaction of `stock_sync`, open for 21 minutes and \
idle for 19. 37 sessions wait for it, all of them updating `inventory`.**

| Session | Who | State | Since | Rows locked |
|---:|---|---|---:|---:|
| 918273 | `stock_sync` from 10.20.4.17 | Sleep, transaction open | 1,284 s | 18,400 |
| 918911 | `checkout` from 10.20.7.31 | waits for 918273 | 48 s | 0 |
| 918914 | `checkout` from 10.20.7.32 | waits for 918273 | 47 s | 0 |
| … 35 more | `checkout` | wait for 918273 | 2 to 46 s | 0 |

The waiting statement is always the same, and fast by itself (0.8 ms before {clock-21}):
```sql
UPDATE inventory SET stock = stock - ? WHERE sku_id = ?
```
It fails after 50 s, the value of `innodb_lock_wait_timeout`: 412 checkouts were refused with error 1205 so far.

### What to do
1. Ask the owner of `stock_sync` whether its batch may be rolled back. If nobody answers, end the session:
```sql
KILL 918273;
```
2. Its 18,400 changed rows are then rolled back, which I expect to take under 10 s. The 37 waiters go on by themselves.
3. Let the job commit every 500 rows, and close its connection when it fails; then this cannot build up again.

### Caveats
The work of that batch since {clock-21} is lost and must be run again. I see that the client went silent, not why: \
the job's own log on 10.20.4.17 has to tell.
""",
    """**`{instance}` 上的锁由会话 918273 持有：`stock_sync` 的事务已打开 21 分钟，其中空闲 19 分钟。\
有 37 个会话在等它，全部是更新 `inventory`。**

| 会话 | 来源 | 状态 | 时长 | 锁定行数 |
|---:|---|---|---:|---:|
| 918273 | `stock_sync`，10.20.4.17 | Sleep，事务未提交 | 1,284 秒 | 18,400 |
| 918911 | `checkout`，10.20.7.31 | 等待 918273 | 48 秒 | 0 |
| 918914 | `checkout`，10.20.7.32 | 等待 918273 | 47 秒 | 0 |
| 其余 35 个 | `checkout` | 等待 918273 | 2 到 46 秒 | 0 |

等待的都是同一条语句，它本身很快（{clock-21} 之前为 0.8 毫秒）：
```sql
UPDATE inventory SET stock = stock - ? WHERE sku_id = ?
```
等待 50 秒（`innodb_lock_wait_timeout`）后失败：目前已有 412 次下单收到错误 1205。

### 处理建议
1. 先向 `stock_sync` 的负责人确认该批次可以回滚；联系不上时结束会话：
```sql
KILL 918273;
```
2. 已修改的 18,400 行随之回滚，预计 10 秒以内；37 个等待会话会自动继续。
3. 让该任务每 500 行提交一次，失败时关闭连接，避免再次堆积。

### 注意
该批次自 {clock-21} 以来的工作会丢失，需要重跑。我能看到客户端不再发送语句，但看不到原因，\
请查看 10.20.4.17 上的任务日志。
""",
)

TOPIC = Topic(
    name="lock waits",
    keywords=(
        "lock wait", "locks", "locked", "locking", "lock timeout", "row lock", "metadata lock", "deadlock", "blocked",
        "blocking", "1205", "stuck", "锁", "阻塞", "堵",
    ),
    finding=Text(
        "the open transaction of stock_sync (session 918273)", "stock_sync 未提交的事务（会话 918273）"
    ),
    stand_in="rm-bp1w3h8v6c0y5d2j7",
    actions=(
        Think(2.2),
        Say(_FIND),
        Tool(
            "GetMySQLAllSessionAsync",
            {"InstanceId": "{instance}"},
            {
                "Total": 214,
                "Active": 46,
                "WaitingForLock": 37,
                "Users": [
                    {"User": "checkout", "Count": 151, "Active": 41},
                    {"User": "stock_sync", "Count": 4, "Active": 0},
                    {"User": "others", "Count": 59, "Active": 5},
                ],
            },
            2.4,
        ),
        Tool(
            "GetInnodbTransactions",
            {"InstanceId": "{instance}", "OrderBy": "Duration", "Limit": 3},
            [
                {
                    "SessionId": 918273,
                    "User": "stock_sync",
                    "Host": "10.20.4.17:50122",
                    "Command": "Sleep",
                    "Started": "{clock-21}",
                    "DurationSeconds": 1284,
                    "IdleSeconds": 1141,
                    "RowsLocked": 18400,
                    "RowsModified": 18400,
                    "Blocks": 37,
                },
                {"SessionId": 918911, "User": "checkout", "WaitSeconds": 48, "WaitsFor": 918273},
                {"SessionId": 918914, "User": "checkout", "WaitSeconds": 47, "WaitsFor": 918273},
            ],
            1.7,
        ),
        Tool(
            "GetDeadLockHistory",
            {"InstanceId": "{instance}", "From": "{clock-60}", "To": "{clock-0}"},
            {"Total": 0, "Items": [], "LockWaitTimeouts": 412},
            1.1,
        ),
        Think(1.0),
        Say(_ANSWER),
    ),
    replies={
        Intent.WHY: Text(
            """**Because a transaction keeps its row locks until it ends, even while its client does nothing.** The \
open transaction of `stock_sync` (session 918273) I described above changed 18,400 rows of `inventory` on \
`{instance}` and then stopped sending statements, without COMMIT or ROLLBACK. InnoDB cannot know that nobody is \
coming back, so every checkout of one of those articles waits, and fails after 50 s.

It is not a deadlock: nobody waits in a circle, so InnoDB has nothing to resolve by itself. What made the client \
fall silent is not visible from the database.
""",
            """**因为事务在结束之前一直持有行锁，即使客户端什么也不做。**上文所说的 `stock_sync` 未提交的事务\
（会话 918273）在 `{instance}` 上修改了 `inventory` 的 18,400 行，之后既没有提交也没有回滚。\
InnoDB 无从得知客户端不会回来，所以涉及这些商品的下单都要等待，50 秒后失败。

这不是死锁：没有循环等待，InnoDB 不会自动解除。客户端为什么停下，从数据库侧看不到。
""",
        ),
        Intent.SAFE: Text(
            """**For the database yes; for the batch only if it can be repeated.** Ending session 918273, the open \
transaction of `stock_sync` I described above, rolls its 18,400 rows back on `{instance}`; the data stays consistent.

- Ask first whether the job can start over. If it sends stock changes elsewhere too, those are not undone.
- Use `KILL`, not a restart: a restart rolls back the same rows and drops 214 connections as well.
- Rolled-back rows stay locked until the rollback is done, under 10 s by my estimate.
""",
            """**对数据库是安全的；对批任务来说，前提是它可以重跑。**结束会话 918273（上文所说的 `stock_sync` \
未提交的事务）会在 `{instance}` 上回滚 18,400 行，数据保持一致。

- 请先确认任务可以从头再来；如果它还改了其他系统，那部分不会撤销。
- 使用 `KILL`，不要重启：重启同样要回滚，还会断开 214 个连接。
- 回滚完成之前这些行仍被锁定，预计 10 秒以内。
""",
        ),
        Intent.DURATION: Text(
            """**Under 10 seconds.** Rolling back the open transaction of `stock_sync` (session 918273) I described \
above means undoing 18,400 rows on `{instance}`; at a cautious 2,000 rows a second that is 9 s. The 37 waiting \
sessions go on at once. Changing the job to commit every 500 rows is a matter of its next release.
""",
            """**10 秒以内。**回滚上文所说的 `stock_sync` 未提交的事务（会话 918273）需要撤销 `{instance}` 上的 \
18,400 行，按保守的每秒 2,000 行计算约 9 秒。37 个等待会话随即继续。让任务每 500 行提交一次，则要等它的下次发布。
""",
        ),
        Intent.SQL: Text(
            """For the open transaction of `stock_sync` (session 918273) I described above, on `{instance}`:

```sql
-- is it still the same transaction?
SELECT trx_started, trx_rows_modified FROM information_schema.innodb_trx
WHERE trx_mysql_thread_id = 918273;

KILL 918273;

-- afterwards: must become 0
SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT';
```
""",
            """针对上文所说的 `stock_sync` 未提交的事务（会话 918273），在 `{instance}` 上执行：

```sql
-- 确认仍是同一个事务
SELECT trx_started, trx_rows_modified FROM information_schema.innodb_trx
WHERE trx_mysql_thread_id = 918273;

KILL 918273;

-- 执行后应变为 0
SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT';
```
""",
        ),
        Intent.OTHER: Text(
            """I looked again at `{instance}`: the open transaction of `stock_sync` (session 918273) I described \
above is still there and still blocks 37 sessions. My advice stands: confirm with its owner, then `KILL 918273`.
""",
            """我重新检查了 `{instance}`：上文所说的 `stock_sync` 未提交的事务（会话 918273）仍在，\
仍阻塞 37 个会话。建议不变：与负责人确认后执行 `KILL 918273`。
""",
        ),
    },
    recheck=Tool(
        "GetInnodbTransactions",
        {"InstanceId": "{instance}", "OrderBy": "Duration", "Limit": 1},
        [{"SessionId": 918273, "User": "stock_sync", "Command": "Sleep", "Blocks": 37}],
        1.2,
    ),
)  # fmt: skip
