"""High CPU on an instance: a report joined its tables without an index. Also the same question for yesterday."""

from bot.demo.rds.script import Action, Reason
from bot.demo.rds.scripts.sources import HIGH_CPU
from bot.demo.upstream.script import Agent, Intent, Say, Text, Think, Tool, Topic

_ANSWER = Text(
    """**One report statement takes 80.8 % of the execution time on `{instance}`: it reads 2.4 million rows of \
`order_detail` each time, because the column it joins on has no index.**

| Statement | Runs / h | Average | Rows read each | Share of time |
|---|---:|---:|---:|---:|
| `c0ffee01` report of sales by region | 1,140 | 9.4 s | 2,400,000 | 80.8 % |
| `badcab1e` member by phone | 41,200 | 19 ms | 1 | 5.9 % |
| all others | 88,000 | 20 ms | 3 | 13.3 % |

CPU stood at 19 % until {clock-47}, when the report began to run every 3 s; since then it is at 92 %. Connections and \
storage are as usual.

### What to do
1. Add the index. It is built online; reads and writes go on:
```sql
ALTER TABLE order_detail
  ADD INDEX idx_order_detail_region (region_id, created_at),
  ALGORITHM=INPLACE, LOCK=NONE;
```
2. Until it is there, let the report run once an hour instead of every 3 s.

### Caveats
I read the slow log of the last hour only; SQL Explorer is not enabled, so the figures of fast statements are \
estimated from counters. Whether the report is needed that often is for its owner to say.
""",
    """**一条报表语句占用了 `{instance}` 80.8% 的执行时间：关联列没有索引，\
每次执行都要读取 `order_detail` 的 240 万行。**

| 语句 | 次数/小时 | 平均耗时 | 每次读取行数 | 时间占比 |
|---|---:|---:|---:|---:|
| `c0ffee01` 按地区统计销售额 | 1,140 | 9.4 秒 | 2,400,000 | 80.8% |
| `badcab1e` 按手机号查会员 | 41,200 | 19 毫秒 | 1 | 5.9% |
| 其他语句 | 88,000 | 20 毫秒 | 3 | 13.3% |

{clock-47} 之前 CPU 为 19%，之后该报表每 3 秒执行一次，CPU 升至 92%。连接数和空间没有异常。

### 处理建议
1. 添加索引，在线构建，不影响读写：
```sql
ALTER TABLE order_detail
  ADD INDEX idx_order_detail_region (region_id, created_at),
  ALGORITHM=INPLACE, LOCK=NONE;
```
2. 索引建好之前，把报表从每 3 秒改为每小时执行一次。

### 注意
我只读取了最近一小时的慢日志；实例未开通 SQL 洞察，快语句的数据由计数器估算。报表是否需要这么频繁，请向负责人确认。
""",
)

ATTRIBUTE = Tool(
    "DescribeDBInstanceAttribute",
    {"DBInstanceId": "{instance}"},
    {
        "DBInstanceId": "{instance}",
        "Engine": "MySQL",
        "EngineVersion": "8.0",
        "DBInstanceClass": "mysql.n4.xlarge.2c",
        "DBInstanceCPU": "4",
        "DBInstanceStorage": 500,
        "DBInstanceStatus": "Running",
    },
    0.8,
)

_LOAD = Tool(
    "DescribeDBInstancePerformance",
    {
        "DBInstanceId": "{instance}",
        "Key": "MySQL_MemCpuUsage,MySQL_Sessions",
        "StartTime": "{moment-60}",
        "EndTime": "{moment-0}",
    },
    {
        "MySQL_MemCpuUsage": [
            {"Date": "{moment-60}", "Value": "19.3&71.0"},
            {"Date": "{moment-45}", "Value": "88.7&71.3"},
            {"Date": "{moment-0}", "Value": "92.4&71.6"},
        ],
        "MySQL_Sessions": [{"Date": "{moment-0}", "Value": "46&212"}],
    },
    1.4,
)

_SLOW_LOG = Agent(
    name="slow_log_analysis",
    label=Text("Slow log analysis", "慢日志分析"),
    task=Text("Which statements cost the most?", "哪些语句开销最大？"),
    actions=(
        Tool(
            "DescribeSlowLogRecords",
            {
                "DBInstanceId": "{instance}",
                "StartTime": "{moment-60}",
                "EndTime": "{moment-0}",
                "PageSize": 30,
            },
            {
                "TotalRecordCount": 1140,
                "Items": [
                    {
                        "SQLHash": "c0ffee01",
                        "DBName": "shop",
                        "QueryTimes": 9,
                        "ParseRowCounts": 2400000,
                        "ReturnRowCounts": 31,
                        "SQLText": "SELECT region_id, SUM(amount) FROM order_detail WHERE region_id = ?",
                    }
                ],
            },
            1.6,
        ),
        Tool(
            "DescribeSQLLogReportList",
            {"DBInstanceId": "{instance}", "StartTime": "{moment-60}", "EndTime": "{moment-0}"},
            "",
            0.7,
            error="SqlCollectorNotEnabled: SQL Explorer is not enabled for the instance.",
        ),
    ),
    outcome=Text("c0ffee01 reads 2,400,000 rows a run", "c0ffee01 每次读取 2,400,000 行"),
)

ACTIONS: tuple[Action, ...] = (
    Reason(
        Text(
            "High load on one instance. First what it is and how its load went, then the statements behind the load. "
            "I must not change anything.",
            "单个实例负载高。先看实例规格和负载曲线，再看负载来自哪些语句。不做任何变更。",
        )
    ),
    Say(
        Text(
            "I look at the load of `{instance}` first, then at its statements.\n\n",
            "我先看 `{instance}` 的负载，再看语句。\n\n",
        )
    ),
    ATTRIBUTE,
    _LOAD,
    _SLOW_LOG,
    Think(1.2),
    HIGH_CPU,
    Say(_ANSWER),
)

YESTERDAY: tuple[Action, ...] = (
    Tool(
        "DescribeDBInstancePerformance",
        {
            "DBInstanceId": "{instance}",
            "Key": "MySQL_MemCpuUsage",
            "StartTime": "{moment-1500}",
            "EndTime": "{moment-1440}",
        },
        {
            "MySQL_MemCpuUsage": [
                {"Date": "{moment-1500}", "Value": "19.0&70.2"},
                {"Date": "{moment-1440}", "Value": "20.2&70.4"},
            ]
        },
        1.3,
    ),
    Say(
        Text(
            """**Yesterday at this time `{instance}` was calm: 20 % CPU instead of 92 %.** The report `c0ffee01` I \
described above ran 24 times in that hour, not 1,140 times; it was just as slow then, 9.2 s each. So the missing \
index is older than the trouble, and what is new since {clock-47} is how often the report runs.

I compared this one hour only; other hours of yesterday may look different.
""",
            """**昨天同一时段 `{instance}` 是平稳的：CPU 为 20%，而不是 92%。**上文所说的报表 `c0ffee01` \
昨天该小时只执行了 24 次，不是 1,140 次，每次同样要 9.2 秒。\
也就是说，缺少索引早已存在，{clock-47} 之后变化的是报表的执行频率。

我只比较了这一个小时，昨天的其他时段可能不同。
""",
        )
    ),
)

TOPIC = Topic(
    name="performance",
    keywords=(
        "slow",
        "cpu",
        "load",
        "performance",
        "diagnose",
        "latency",
        "慢",
        "负载",
        "性能",
        "诊断",
        "卡",
    ),
    finding=Text("the report c0ffee01", "报表语句 c0ffee01"),
    actions=(),
    stand_in="rm-bp1r7d5s9c3p8k2m4",
    replies={
        Intent.WHY: Text(
            """**Because nothing in `order_detail` leads from a region to its rows.** The report `c0ffee01` I \
described above therefore reads the whole table of `{instance}`, 2.4 million rows, to return 31. \
One such run keeps a core busy for 9 s, so 1,140 of them an hour keep three of the four cores busy.
""",
            """**因为 `order_detail` 上没有从地区定位到行的索引。**上文所说的报表 `c0ffee01` 为了返回 31 行，\
要读取 `{instance}` 上整张表的 240 万行。每次执行占用一个核约 9 秒，每小时 1,140 次，相当于占满四个核中的三个。
""",
        ),
        Intent.SAFE: Text(
            """**Yes, with care for space and for long transactions.** The index for the report `c0ffee01` I described \
above is built online on `{instance}`: about 180 MB, reads and writes go on. A transaction left open on `order_detail` \
would make the last step wait, and everybody behind it; look for one before you start.
""",
            """**可以，但要注意空间和长事务。**为上文所说的报表 `c0ffee01` 在 `{instance}` 上在线加索引，约占 180 MB，\
读写不受影响。如果 `order_detail` 上有未结束的事务，最后一步会等待并阻塞后面的请求，执行前请先检查。
""",
        ),
        Intent.DURATION: Text(
            """**About 40 seconds**, from the 2.4 million rows of `order_detail` on `{instance}`; the report \
`c0ffee01` I described above is fast from then on. That is an estimate from the table's size, not a measurement.
""",
            """**约 40 秒**，根据 `{instance}` 上 `order_detail` 的 240 万行估算；\
之后上文所说的报表 `c0ffee01` 就会变快。这是按表大小的估计，不是实测。
""",
        ),
        Intent.SQL: Text(
            """For the report `c0ffee01` I described above, on `{instance}`:
```sql
ALTER TABLE order_detail
  ADD INDEX idx_order_detail_region (region_id, created_at),
  ALGORITHM=INPLACE, LOCK=NONE;
```
""",
            """针对上文所说的报表 `c0ffee01`，在 `{instance}` 上执行：
```sql
ALTER TABLE order_detail
  ADD INDEX idx_order_detail_region (region_id, created_at),
  ALGORITHM=INPLACE, LOCK=NONE;
```
""",
        ),
        Intent.OTHER: Text(
            """I have nothing new on `{instance}`: the report `c0ffee01` I described above is still what takes the \
CPU. Ask me why, how long the index takes, whether it is safe, or how it was yesterday.
""",
            """`{instance}` 没有新的情况：占用 CPU 的仍是上文所说的报表 `c0ffee01`。您可以问我原因、加索引要多久、\
是否安全，或者昨天的情况。
""",
        ),
    },
)
