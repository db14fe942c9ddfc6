"""Logs as JSON without personal data, trace context across HTTP and Kafka, and metrics by name."""

import json
import logging
import re
import secrets
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Literal

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MetricName = Literal[
    "http_requests_total",
    "http_request_seconds",
    "http_requests_in_flight",
    "rights_questions_total",  # asked of booking on a miss
    "outbox_rows",
    "outbox_oldest_seconds",
    "relay_published_total",
    "consumer_lag",
    "consumer_records_total",
    "consumer_ignored_total",
    "inbox_gaps_total",
    "parked_keys",
    "tasks_due",
    "tasks_oldest_seconds",
    "tasks_finished_total",
    "tasks_failed",
    "hold_states",
    "claims_oldest_seconds",
]

_LABELS: Final[dict[MetricName, tuple[str, ...]]] = {
    "http_requests_total": ("method", "route", "status"),
    "http_request_seconds": ("method", "route"),
    "http_requests_in_flight": (),
    "rights_questions_total": ("answer",),
    "outbox_rows": (),
    "outbox_oldest_seconds": (),
    "relay_published_total": ("topic",),
    "consumer_lag": ("topic", "partition"),
    "consumer_records_total": ("topic", "outcome"),
    "consumer_ignored_total": ("topic", "reason"),
    "inbox_gaps_total": ("topic",),
    "parked_keys": (),
    "tasks_due": ("kind",),
    "tasks_oldest_seconds": ("kind",),
    "tasks_finished_total": ("kind", "outcome"),
    "tasks_failed": ("kind",),
    "hold_states": ("state",),
    "claims_oldest_seconds": ("payer", "state"),
}
_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one app or worker, in a registry of its own: several of them live in one process.

    Labels are coded words and routes, never ids.
    """

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        self._service = service
        self._made: dict[str, Any] = {}
        self._children: dict[tuple[str, ...], Any] = {}

    def count(self, name: MetricName, by: float = 1, **labels: str) -> None:
        self._child(name, labels).inc(by)

    def set(self, name: MetricName, value: float, **labels: str) -> None:
        self._child(name, labels).set(value)

    def observe(self, name: MetricName, seconds: float, **labels: str) -> None:
        self._child(name, labels).observe(seconds)

    def read(self, name: MetricName, value: Callable[[], float], **labels: str) -> None:
        """A gauge that is computed when somebody looks."""
        self._child(name, labels).set_function(value)

    def exposition(self) -> bytes:
        """The text Prometheus reads."""
        return generate_latest(self.registry)

    def _child(self, name: MetricName, labels: Mapping[str, str]) -> Any:
        key = (name, *labels.values())
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._metric(name).labels(service=self._service, **labels)
        return child

    def _metric(self, name: MetricName) -> Any:
        if name not in self._made:
            labels = ("service", *_LABELS[name])
            about = name.replace("_", " ")
            if name.endswith("_total"):
                self._made[name] = Counter(name, about, labels, registry=self.registry)
            elif name == "http_request_seconds":
                self._made[name] = Histogram(name, about, labels, registry=self.registry, buckets=_SECONDS)
            else:
                self._made[name] = Gauge(name, about, labels, registry=self.registry)
        return self._made[name]


_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_bound: ContextVar[Mapping[str, str]] = ContextVar("log_fields", default=_NOTHING)
_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)


def bind(**fields: str) -> Token[Mapping[str, str]]:
    """Adds fields to every log line of this task and what it starts."""
    return _bound.set({**_bound.get(), **fields})


def unbind(token: Token[Mapping[str, str]]) -> None:
    _bound.reset(token)


_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn says it twice
}


class JsonFormatter(logging.Formatter):
    """One JSON object per line, with every `extra` field and what `bind` added.

    What an exception says may quote a row or an input: only development writes it. Elsewhere an exception is
    its type, its stack, and what PostgreSQL names besides values.
    """

    def __init__(self, service: str, *, with_messages: bool = False) -> None:
        super().__init__()
        self._service = service
        self._with_messages = with_messages

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "service": self._service,
        }
        line |= _bound.get()
        traced = _traceparent.get()
        if traced is not None:
            line["trace_id"] = traced[3:35]
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = [self._told(each) for each in _chain(record.exc_info[1])]
        return json.dumps(line, default=str, ensure_ascii=False)

    def _told(self, error: BaseException) -> dict[str, Any]:
        frames = traceback.extract_tb(error.__traceback__)
        told: dict[str, Any] = {
            "type": f"{type(error).__module__}.{type(error).__qualname__}",
            "stack": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        }
        for name in ("sqlstate", "constraint_name", "table_name"):
            if isinstance(getattr(error, name, None), str):
                told[name] = getattr(error, name)
        if self._with_messages:
            told["message"] = str(error)
        return told


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def configure_logging(service: str, *, level: str, development: bool) -> None:
    """Called once, by the process and by nobody else."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter(service, with_messages=development))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore", "aiokafka"):
        logging.getLogger(chatty).setLevel("WARNING")


def configure_tracing(service: str, *, endpoint: str | None) -> None:
    """Exports spans to an OTLP endpoint; without one, trace context is still carried on."""
    if endpoint is None:
        return
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)


_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_PROPAGATOR: Final = TraceContextTextMapPropagator()


def traceparent() -> str | None:
    """The W3C trace context of what runs now: for the headers of a request or an event."""
    return _traceparent.get()


@contextmanager
def span(
    name: str,
    *,
    kind: Literal["server", "client", "producer", "consumer", "internal"] = "internal",
    parent: str | None = None,
    attributes: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """A step of a trace, under `parent` (a traceparent somebody sent) or the current step.

    Yields its own traceparent. Names and attributes are routes, topics and types, never ids of people.
    """
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        token = _traceparent.set(_child(parent or _traceparent.get()))
        try:
            yield _traceparent.get() or ""
        finally:
            _traceparent.reset(token)
        return
    above = _PROPAGATOR.extract({"traceparent": parent}) if parent else otel_context.get_current()
    with provider.get_tracer("common").start_as_current_span(
        name,
        above,
        kind=trace.SpanKind[kind.upper()],
        attributes=dict(attributes or {}),
        record_exception=False,  # its message may quote an input
    ):
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        token = _traceparent.set(carrier.get("traceparent"))
        try:
            yield carrier.get("traceparent", "")
        finally:
            _traceparent.reset(token)


def _child(parent: str | None) -> str:
    if parent is not None and _TRACEPARENT.fullmatch(parent):
        return f"{parent[:36]}{secrets.token_hex(8)}{parent[52:]}"
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
