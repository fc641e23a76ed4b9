"""A connection spike, looked at by two sub-agents at the same time, one of which calls a third."""

from bot.demo.upstream.script import Agent, Intent, Say, Text, Think, Together, Tool, Topic

_FIND = Text(
    "Two questions can be answered side by side for `{instance}`: who holds the connections, "
    "and whether the load rose.\n",
    "`{instance}` 有两个问题可以并行检查：连接被谁占用，以及负载是否上升。\n",
)

_TRACE = Agent(
    name="sub_agent_client_trace",
    label=Text("Client trace", "客户端追踪"),
    task=Text("When did checkout-api open its connections?", "checkout-api 的连接是何时建立的？"),
    actions=(
        Think(0.6),
        Tool(
            "GetSessionHistory",
            {"InstanceId": "{instance}", "User": "checkout-api", "Minutes": 60},
            [
                {"Time": "{clock-50}", "Hosts": 12, "Sessions": 233},
                {"Time": "{clock-38}", "Hosts": 12, "Sessions": 241},
                {"Time": "{clock-36}", "Hosts": 12, "Sessions": 1702},
                {"Time": "{clock-1}", "Hosts": 12, "Sessions": 1688},
            ],
            1.6,
        ),
    ),
    outcome=Text(
        "241 sessions at {clock-38}, 1,702 two minutes later, from the same 12 hosts",
        "{clock-38} 为 241 个会话，两分钟后为 1,702 个，来自同样的 12 台主机",
    ),
)

_SESSIONS = Agent(
    name="sub_agent_session_analyze",
    label=Text("Session analysis", "会话分析"),
    task=Text("Who holds the connections, and what do they do?", "连接被谁占用，在做什么？"),
    actions=(
        Think(0.8),
        Tool(
            "GetMySQLAllSessionAsync",
            {"InstanceId": "{instance}"},
            {
                "Max": 2000,
                "Total": 1912,
                "Active": 57,
                "Sleep": 1855,
                "Users": [
                    {"User": "checkout-api", "Hosts": 12, "Count": 1688, "Active": 31},
                    {"User": "report", "Hosts": 2, "Count": 96, "Active": 5},
                    {"User": "others", "Hosts": 9, "Count": 128, "Active": 21},
                ],
            },
            2.3,
        ),
        Together((_TRACE,)),
        Say(
            Text(
                "checkout-api holds 1,688 of 1,912 connections, 31 of them active.",
                "checkout-api 占用 1,912 个连接中的 1,688 个，其中活跃 31 个。",
            )
        ),
    ),
    outcome=Text(
        "pool of checkout-api grew sevenfold; sessions are idle", "checkout-api 连接池扩大七倍，会话空闲"
    ),
)

_LOAD = Agent(
    name="sub_agent_performance_diagnose_mysql",
    label=Text("Load analysis", "负载分析"),
    task=Text("Did queries get slower or more frequent?", "查询是否变慢或变多？"),
    actions=(
        Think(0.6),
        Tool(
            "GetPerformanceMetrics",
            {"InstanceId": "{instance}", "Metrics": "qps,cpu_usage,avg_rt", "Minutes": 60},
            {
                "Series": [
                    {"Time": "{clock-50}", "qps": 3120, "cpu_usage": 34.1, "avg_rt_ms": 1.9},
                    {"Time": "{clock-36}", "qps": 3208, "cpu_usage": 37.8, "avg_rt_ms": 2.0},
                    {"Time": "{clock-1}", "qps": 3175, "cpu_usage": 36.2, "avg_rt_ms": 2.0},
                ]
            },
            1.9,
        ),
        Tool(
            "GetErrorLogStatistic",
            {"InstanceId": "{instance}", "Minutes": 60},
            {
                "Items": [
                    {"Code": 1040, "Message": "Too many connections", "Count": 1146, "First": "{clock-31}"}
                ]
            },
            1.5,
        ),
        Say(
            Text(
                "Load is flat: 3,175 queries a second at 2.0 ms.",
                "负载平稳：每秒 3,175 次查询，平均 2.0 毫秒。",
            )
        ),
    ),
    outcome=Text("load flat; 1,146 refused connections", "负载平稳；1,146 次连接被拒绝"),
)

_ANSWER = Text(
    """**The connections of `{instance}` are used up by idle pools, not by load: `checkout-api` went from 241 to 1,702 \
connections within two minutes after {clock-38}. 1,146 connections of all applications have been refused since.**

| User | Hosts | Connections | Active |
|---|---:|---:|---:|
| `checkout-api` | 12 | 1,688 | 31 |
| `report` | 2 | 96 | 5 |
| others | 9 | 128 | 21 |
| **Sum** (limit 2,000) | **23** | **1,912** | **57** |

Queries did not change: 3,175 a second (before: 3,120), 2.0 ms on average, CPU 36 %. The same 12 hosts now keep about \
141 connections each instead of 20, which looks like a pool setting changed by a release around {clock-38}.

### What to do
1. Set the pool of `checkout-api` back to 20 per host (12 × 20 = 240) and restart its hosts one after another.
2. Until then close what sleeps for long; the pools reopen what they need:
```sql
SELECT CONCAT('KILL ', id, ';') FROM information_schema.processlist
WHERE user = 'checkout-api' AND command = 'Sleep' AND time > 300;
```
3. Give each user a limit, so that one application cannot lock out the others:
```sql
ALTER USER 'checkout-api'@'%' WITH MAX_USER_CONNECTIONS 600;
```

### Caveats
Raising `max_connections` only moves the wall: each connection costs memory, and 36 % CPU shows that more are not \
needed. That a release was the trigger is my reading of the times; I cannot see your deployments.
""",
    """**`{instance}` 的连接被空闲连接池占满，而不是负载上升：{clock-38} 之后两分钟内，`checkout-api` \
的连接从 241 增加到 1,702。此后各应用共有 1,146 次连接被拒绝。**

| 用户 | 主机数 | 连接数 | 活跃 |
|---|---:|---:|---:|
| `checkout-api` | 12 | 1,688 | 31 |
| `report` | 2 | 96 | 5 |
| 其他 | 9 | 128 | 21 |
| **合计**（上限 2,000） | **23** | **1,912** | **57** |

查询没有变化：每秒 3,175 次（之前 3,120 次），平均 2.0 毫秒，CPU 36%。同样的 12 台主机，每台从 20 个连接变成约 141 个，\
像是 {clock-38} 前后的发布修改了连接池配置。

### 处理建议
1. 将 `checkout-api` 的连接池改回每台 20（12 × 20 = 240），逐台重启。
2. 在此之前关闭长时间空闲的连接，连接池会按需重建：
```sql
SELECT CONCAT('KILL ', id, ';') FROM information_schema.processlist
WHERE user = 'checkout-api' AND command = 'Sleep' AND time > 300;
```
3. 为每个用户设置上限，避免一个应用挤占其他应用：
```sql
ALTER USER 'checkout-api'@'%' WITH MAX_USER_CONNECTIONS 600;
```

### 注意
调大 `max_connections` 只是推迟问题：每个连接都占内存，而 CPU 只有 36%，说明并不需要更多连接。\
“由发布引起”是我根据时间的推断，我看不到您的发布记录。
""",
)

TOPIC = Topic(
    name="connection spike",
    keywords=("connection", "sessions", "too many", "pool", "1040", "连接", "会话"),
    finding=Text("the oversized pool of checkout-api", "checkout-api 过大的连接池"),
    stand_in="rm-bp1c5t8b2o9l4p6i0",
    actions=(Think(2.0), Say(_FIND), Together((_SESSIONS, _LOAD)), Think(1.0), Say(_ANSWER)),
    replies={
        Intent.WHY: Text(
            """**Because every host of one application keeps far more connections than it uses.** The oversized pool \
of `checkout-api` I described above holds 1,688 connections on `{instance}`, of which 31 do something. The number rose \
within two minutes on all 12 hosts while queries stayed at about 3,150 a second: more users would have raised both.

What changed the pool size I cannot see from the database; look at the release around that time.
""",
            """**因为一个应用的每台主机都保留了远多于所需的连接。**上文所说的 `checkout-api` 过大的连接池在 \
`{instance}` 上占用 1,688 个连接，真正在工作的只有 31 个。12 台主机在两分钟内同时上升，\
而查询量一直在每秒 3,150 次左右；\
如果是用户变多，两者应当一起上升。

是什么改变了连接池大小，从数据库侧看不到，请查看那段时间的发布记录。
""",
        ),
        Intent.SAFE: Text(
            """**Yes, if only sleeping sessions are closed.** For the oversized pool of `checkout-api` I described \
above, the query takes sessions that have slept for more than 300 s on `{instance}`; pools replace them unnoticed. \
A session that sleeps inside an open transaction would be rolled back, so look at `information_schema.innodb_trx` first.

The smaller pool is safe too: 240 connections serve the 31 active ones with room for eight times as much.
""",
            """**可以，前提是只关闭空闲会话。**针对上文所说的 `checkout-api` 过大的连接池，\
语句只选出 `{instance}` 上空闲超过 \
300 秒的会话，连接池会自动补上。如果会话空闲但事务未提交，会被回滚，请先查看 `information_schema.innodb_trx`。

改小连接池同样安全：240 个连接对 31 个活跃会话来说有近八倍余量。
""",
        ),
        Intent.DURATION: Text(
            """**Closing sleeping sessions works within seconds; the pool setting takes a rolling restart.** For the \
oversized pool of `checkout-api` I described above that means 12 hosts, perhaps 10 to 15 minutes at a minute each. The \
limit per user on `{instance}` applies to new connections at once.
""",
            """**关闭空闲会话几秒内见效；修改连接池需要逐台重启。**上文所说的 `checkout-api` 过大的连接池\
涉及 12 台主机，\
每台约一分钟，共 10 到 15 分钟。`{instance}` 上的用户连接上限对新连接立即生效。
""",
        ),
        Intent.SQL: Text(
            """For the oversized pool of `checkout-api` I described above, on `{instance}`:

```sql
SELECT CONCAT('KILL ', id, ';') FROM information_schema.processlist
WHERE user = 'checkout-api' AND command = 'Sleep' AND time > 300
  AND id NOT IN (SELECT trx_mysql_thread_id FROM information_schema.innodb_trx);

ALTER USER 'checkout-api'@'%' WITH MAX_USER_CONNECTIONS 600;
```
""",
            """针对上文所说的 `checkout-api` 过大的连接池，在 `{instance}` 上执行：

```sql
SELECT CONCAT('KILL ', id, ';') FROM information_schema.processlist
WHERE user = 'checkout-api' AND command = 'Sleep' AND time > 300
  AND id NOT IN (SELECT trx_mysql_thread_id FROM information_schema.innodb_trx);

ALTER USER 'checkout-api'@'%' WITH MAX_USER_CONNECTIONS 600;
```
""",
        ),
        Intent.OTHER: Text(
            """I counted again on `{instance}`: 1,907 of 2,000 connections are open, so the oversized pool of \
`checkout-api` I described above is unchanged. Setting it back to 20 per host is still the remedy.
""",
            """我重新统计了 `{instance}`：2,000 个连接中已用 1,907 个，上文所说的 `checkout-api` 过大的连接池没有变化。\
处理办法仍是改回每台 20。
""",
        ),
    },
    recheck=Tool(
        "GetMySQLAllSessionAsync",
        {"InstanceId": "{instance}"},
        {"Max": 2000, "Total": 1907, "Active": 54},
        1.4,
    ),
)
