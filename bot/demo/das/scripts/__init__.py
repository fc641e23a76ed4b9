"""The scripted diagnoses, one problem a file."""

from bot.demo.das.scripts import connections, disk_full, full_report, lock_waits, replication, slow_sql
from bot.demo.upstream.script import Topic

# The first one wins when a question fits two equally well, so the more specific problems stand first.
TOPICS: tuple[Topic, ...] = (
    full_report.TOPIC,
    lock_waits.TOPIC,
    disk_full.TOPIC,
    connections.TOPIC,
    replication.TOPIC,
    slow_sql.TOPIC,
)
