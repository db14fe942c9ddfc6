"""Every metric of the platform: its type, its labels and its meaning. docs/metrics.md is generated from it.

A name ends in its base unit, or in `_total` for a counter, as Prometheus advises. A label holds one of a few
values that the code or the configuration names: an operation, a topic, a state, never an id of anything.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

MetricName = Literal[
    "http_requests_total",
    "http_request_seconds",
    "http_requests_in_flight",
    "outbox_rows",
    "outbox_oldest_seconds",
    "relay_published_total",
    "consumer_lag_records",
    "consumer_records_total",
    "consumer_ignored_total",
    "inbox_gaps_total",
    "parked_keys",
    "tasks_due",
    "tasks_oldest_seconds",
    "tasks_finished_total",
    "tasks_failed",
    "storage_failures_total",
    "storage_up",
    "holds",
    "claims_oldest_seconds",
]

MetricType = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()


SERVICE: Final = "service"  # the label of every metric: one process may run several services

METRICS: Final = MappingProxyType[MetricName, Metric](
    {
        "http_requests_total": Metric(
            "counter",
            "HTTP requests answered, by operation id; route none: no operation has this path.",
            ("method", "route", "status"),
        ),
        "http_request_seconds": Metric(
            "histogram",
            "Seconds from the first byte of a request to the end of its answer.",
            ("method", "route"),
        ),
        "http_requests_in_flight": Metric("gauge", "HTTP requests that are being answered now."),
        "outbox_rows": Metric("gauge", "Events in the outbox that Kafka has not acknowledged."),
        "outbox_oldest_seconds": Metric(
            "gauge", "Age in seconds of the oldest event in the outbox; 0: empty."
        ),
        "relay_published_total": Metric("counter", "Events that Kafka has acknowledged.", ("topic",)),
        "consumer_lag_records": Metric(
            "gauge",
            "Records of a partition that this service has not applied yet.",
            ("topic", "partition"),
        ),
        "consumer_records_total": Metric(
            "counter",
            "Records settled, by outcome: applied, ignored, duplicate, waiting, parked or rejected.",
            ("topic", "outcome"),
        ),
        "consumer_ignored_total": Metric(
            "counter", "Records ignored, by the code of the reason.", ("topic", "reason")
        ),
        "inbox_gaps_total": Metric(
            "counter", "Records that came although an earlier event of their key is missing.", ("topic",)
        ),
        "parked_keys": Metric("gauge", "Keys whose records wait behind a dead letter."),
        "tasks_due": Metric("gauge", "Tasks that are due now and not finished.", ("kind",)),
        "tasks_oldest_seconds": Metric(
            "gauge",
            "Seconds since the oldest unfinished task was first due, through all attempts; 0: none is due.",
            ("kind",),
        ),
        "tasks_finished_total": Metric(
            "counter",
            "Attempts of tasks that ended, by outcome; retry, later and lease-lost leave the task open.",
            ("kind", "outcome"),
        ),
        "tasks_failed": Metric("gauge", "Tasks without an attempt left; a person must look.", ("kind",)),
        "storage_failures_total": Metric(
            "counter", "Calls of the document storage that failed, by operation.", ("operation",)
        ),
        "storage_up": Metric(
            "gauge", "Whether the last call of the document storage succeeded: 1 yes, 0 no."
        ),
        "holds": Metric("gauge", "Card holds that are not in a final state, by state.", ("state",)),
        "claims_oldest_seconds": Metric(
            "gauge",
            "Seconds that the oldest claim has waited in a state; state unpriced: care without a price.",
            ("payer", "state"),
        ),
    }
)
