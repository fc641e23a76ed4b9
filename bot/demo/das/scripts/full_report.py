"""A full report over all tables, about 30,000 characters long, to see an answer continue over several messages."""

import random
from typing import NamedTuple

from bot.demo.upstream.script import Intent, Say, Text, Think, Tool, Topic

_TABLES = (
    "orders", "order_items", "order_events", "payments", "refunds", "customers", "addresses", "carts", "cart_items",
    "products", "product_prices", "product_images", "inventory", "stock_moves", "warehouses", "shipments",
    "shipment_events", "coupons", "coupon_uses", "reviews", "sessions", "notifications",
    "price_history", "searches", "wish_lists", "returns", "invoices", "audit_log", "exports",
)  # fmt: skip

_REPORT_SPEED = 2000.0
"""Characters a second: a report is assembled, not thought up, and nobody waits two minutes for a demo."""


class _Table(NamedTuple):
    name: str
    rows: int
    data_mb: int
    index_mb: int
    free_mb: int
    reads: int
    writes: int
    scans: int


def _tables() -> tuple[_Table, ...]:
    dice = random.Random(20)  # the same report every time, in tests too
    tables = []
    for name in _TABLES:
        rows = dice.randint(40_000, 9_000_000)
        data = max(12, rows * dice.randint(180, 900) // 1_000_000)
        reads = dice.randint(2_000, 400_000)
        tables.append(
            _Table(
                name, rows, data, data * dice.randint(15, 60) // 100, data * dice.randint(1, 35) // 100, reads,
                reads * dice.randint(2, 40) // 100, reads * dice.randint(0, 12) // 100,
            )
        )  # fmt: skip
    return tuple(tables)


def _english(number: int, table: _Table) -> str:
    scanned, free = table.scans * 100 // table.reads, table.free_mb * 100 // table.data_mb
    scans = (
        f"{scanned} % of the reads scan the whole table. The candidates are filters on `created_at` without an index; "
        "check the slow log for the statement before adding one, since every index makes writes dearer."
        if scanned >= 5
        else f"Reads find their rows by index; only {scanned} % scan the table, which is normal for small lookups "
        "and nightly jobs."
    )
    space = (
        f"{free} % of the file is free space left by deletes. Rebuilding gives it back to the disk, online, in a "
        "quiet hour; it needs as much space again while it runs."
        if free >= 20
        else f"The file is compact ({free} % free inside); rebuilding would gain nothing."
    )
    remedy = (
        f"ALTER TABLE {table.name}\n  ADD INDEX idx_{table.name}_created (created_at),\n  ALGORITHM=INPLACE, LOCK=NONE;"
        if scanned >= 5
        else f"ALTER TABLE {table.name} ENGINE=InnoDB, ALGORITHM=INPLACE, LOCK=NONE;"
        if free >= 20
        else f"ANALYZE TABLE {table.name};"
    )
    return f"""
## {number}. `{table.name}`
| Rows | Data | Indexes | Free inside | Reads / h | Writes / h | Full scans / h |
|---:|---:|---:|---:|---:|---:|---:|
| {table.rows:,} | {table.data_mb:,} MB | {table.index_mb:,} MB | {table.free_mb:,} MB | {table.reads:,} | \
{table.writes:,} | {table.scans:,} |

**Access.** {scans}

**Space.** {space}

**Growth.** With {table.writes:,} writes an hour on {table.rows:,} rows I expect no trouble within the next quarter, \
if the mix of reads and writes stays as it was in the hour I looked at. I compared with the same hour of last week only.

**Statement to run when you agree:**
```sql
{remedy}
```
- Run it in a quiet hour and watch the replica's lag; the statement is replayed there after it ends here.
- Nothing was changed by this report. If a long transaction holds `{table.name}`, the statement waits for it.
"""


def _chinese(number: int, table: _Table) -> str:
    scanned, free = table.scans * 100 // table.reads, table.free_mb * 100 // table.data_mb
    scans = (
        f"{scanned}% 的读请求全表扫描，可能是按 `created_at` 过滤而没有索引；请先在慢日志中确认语句再加索引。"
        if scanned >= 5
        else f"读请求基本都走索引，只有 {scanned}% 扫描全表，属于正常范围。"
    )
    space = (
        f"文件中有 {free}% 是删除后留下的空闲空间，可在低峰期在线重建收回；重建时需要同样大小的空间。"
        if free >= 20
        else f"文件紧凑（内部空闲 {free}%），重建没有收益。"
    )
    return f"""
## {number}. `{table.name}`
| 行数 | 数据 | 索引 | 内部空闲 | 读/小时 | 写/小时 | 全表扫描/小时 |
|---:|---:|---:|---:|---:|---:|---:|
| {table.rows:,} | {table.data_mb:,} MB | {table.index_mb:,} MB | {table.free_mb:,} MB | {table.reads:,} | \
{table.writes:,} | {table.scans:,} |

**访问。**{scans}

**空间。**{space}

**增长。**按每小时 {table.writes:,} 次写入计算，未来一个季度内预计没有问题。我只与上周同一时段做了比较。
"""


def _scanned(tables: tuple[_Table, ...]) -> list[_Table]:
    return [table for table in tables if table.scans * 100 // table.reads >= 5]


def _report() -> Text:
    tables = _tables()
    rows, size = sum(t.rows for t in tables), sum(t.data_mb + t.index_mb for t in tables)
    scanned = len(_scanned(tables))
    english = f"""# Full report for `{{instance}}`
**The instance is healthy; {scanned} of {len(tables)} tables would gain from a change, none of them urgently.** The \
{len(tables)} tables hold {rows:,} rows in {size:,} MB with their indexes. Each has its section below: figures of the \
last hour, what they mean, and one statement to consider.
"""
    chinese = f"""# `{{instance}}` 完整报告
**实例整体健康；{len(tables)} 张表中有 {scanned} 张值得优化，但都不紧急。**共 {rows:,} 行，数据和索引合计 {size:,} MB。\
下面逐表说明最近一小时的数据及含义。
"""
    for number, table in enumerate(tables, 1):
        english += _english(number, table)
        chinese += _chinese(number, table)
    english += "\n## What this report leaves out\nBackups, parameters, permissions and the network were not examined.\n"
    chinese += "\n## 本报告未涉及\n备份、参数、权限和网络没有检查。\n"
    return Text(english, chinese)


def _tool_result() -> list[dict[str, object]]:
    return [{"Table": t.name, "Rows": t.rows, "DataMB": t.data_mb, "IndexMB": t.index_mb} for t in _tables()]


_AGAIN = Text(
    f"It is all in the full report I gave above for `{{instance}}`: {len(_scanned(_tables()))} of {len(_TABLES)} "
    "tables would gain from an index on `created_at`, each with its statement and caveats in its section. "
    "Name a table and what you notice there, and I look closer; nothing was changed so far.\n",
    f"这些都在上文 `{{instance}}` 的完整报告中：{len(_TABLES)} 张表里有 {len(_scanned(_tables()))} 张可以通过为 "
    "`created_at` 加索引受益。请告诉我具体的表和现象，我再深入检查；到目前为止没有做任何变更。\n",
)

TOPIC = Topic(
    name="full report",
    keywords=("full report", "complete report", "完整报告", "全面报告"),
    finding=Text("the tables in the full report", "完整报告中的各张表"),
    stand_in="rm-bp1k7x4t9w2e5n8q3",
    actions=(
        Think(2.0),
        Say(
            Text(
                "I am collecting figures of all tables of `{instance}`.\n",
                "我先收集 `{instance}` 所有表的数据。\n",
            )
        ),
        Tool("GetStorageAnalysisResult", {"InstanceId": "{instance}", "Depth": "table"}, _tool_result(), 3.2),
        Tool(
            "GetTableAccess",
            {"InstanceId": "{instance}", "Minutes": 60},
            [
                {"Table": t.name, "Reads": t.reads, "Writes": t.writes, "FullScans": t.scans}
                for t in _tables()
            ],
            2.4,
        ),
        Say(_report(), speed=_REPORT_SPEED),
    ),
    replies=dict.fromkeys(Intent, _AGAIN),
)
