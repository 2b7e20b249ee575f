"""CloudWatch: what RDS last measured of a cluster."""

from datetime import datetime, timedelta
from typing import Any

from aurora_restore.aws.door import demand

_WINDOW = timedelta(hours=3)
_PERIOD_S = 300


class Metrics:
    """CloudWatch in one region, as far as clusters go."""

    def __init__(self, client: Any) -> None:
        """Take a boto3 CloudWatch client."""
        self._client = client

    def latest(self, cluster: str, metric: str, *, now: datetime) -> float | None:
        """Return the last value of a cluster's metric within three hours, or None when there is none."""
        answer = demand(
            self._client.get_metric_statistics,
            Namespace="AWS/RDS",
            MetricName=metric,
            Dimensions=[{"Name": "DBClusterIdentifier", "Value": cluster}],
            StartTime=now - _WINDOW,
            EndTime=now,
            Period=_PERIOD_S,
            Statistics=["Maximum"],
        )
        points = answer["Datapoints"]
        return float(max(points, key=lambda point: point["Timestamp"])["Maximum"]) if points else None
