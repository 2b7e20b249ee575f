"""Measurements become CloudWatch metrics by being logged, in CloudWatch's embedded metric format (EMF), without a call.

CloudWatch takes them out of the function's log. Where nobody does, as in the embedded account, they stay there.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, TextIO, cast

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics

from aurora_restore.measurements import NAMESPACE, Dimension, Measurement


def of(logger: Logger) -> TextIO:
    """Return the stream that a logger writes to: stdout in Lambda, where CloudWatch reads it."""
    handler: Any = logger.registered_handler
    return cast("TextIO", handler.stream)


def write(log: TextIO, stack: str, measurements: Iterable[Measurement], *, operation_id: str | None) -> None:
    """Write measurements as lines of JSON, one for each set of dimensions.

    The operation's id goes with them for whoever searches the log; it is no dimension, or each would be a metric.
    """
    by_dimension: dict[tuple[Dimension, str] | None, list[Measurement]] = defaultdict(list)
    for measurement in measurements:
        by_dimension[measurement.dimension].append(measurement)
    for dimension, together in by_dimension.items():
        # With a service, Powertools would add it as a dimension, and no alarm would find its metric.
        metrics = EphemeralMetrics(namespace=NAMESPACE, service="")
        metrics.add_dimension(Dimension.STACK.value, stack)
        if dimension is not None:
            metrics.add_dimension(dimension[0].value, dimension[1])
        if operation_id is not None:
            metrics.add_metadata("operation_id", operation_id)
        for measurement in together:
            metrics.add_metric(measurement.metric.value, measurement.metric.unit.value, measurement.value)
        log.write(json.dumps(metrics.serialize_metric_set(), separators=(",", ":")) + "\n")
    log.flush()
