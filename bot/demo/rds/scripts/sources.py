"""Pages of the service's documentation that answers name as their sources."""

from bot.demo.rds.script import Docs
from bot.demo.upstream.script import Text

_HELP = "https://www.alibabacloud.com/help/en/rds/apsaradb-rds-for-mysql"

HIGH_CPU = Docs(
    (
        (
            Text(
                "Reduce the CPU utilization of an RDS for MySQL instance", "降低 RDS MySQL 实例的 CPU 使用率"
            ),
            f"{_HELP}/how-do-i-use-clouddba-to-reduce-the-cpu-utilization-of-my-apsaradb-rds-for-mysql-instance",
        ),
        (
            Text("Diagnose the parameters of an RDS for MySQL instance", "RDS MySQL 参数诊断"),
            f"{_HELP}/parameter-diagnosis",
        ),
    )
)

PARAMETERS = Docs(((Text("Instance parameters", "实例参数"), f"{_HELP}/instance-parameters/"),))
