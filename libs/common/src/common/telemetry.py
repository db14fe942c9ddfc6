"""Logs as JSON without personal data, trace context across HTTP and Kafka, and metrics by name."""

import json
import logging
import re
import secrets
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any, Final, Literal

from fastapi.telemetry import TelemetryConfig
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from common.metric_catalogue import METRICS, SERVICE, MetricName
from common.outages import OutageFilter

_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_MOST_CHILDREN: Final = 2000  # of one metric, far above operations times statuses


class Metrics:
    """The metrics of one app or worker, in a registry of its own: several of them live in one process.

    Labels are coded words and routes, never ids.
    """

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        self._service = service
        self._made: dict[str, Any] = {}
        self._children: dict[tuple[str, ...], Any] = {}
        self._counts: dict[str, int] = {}

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
            if self._counts.get(name, 0) >= _MOST_CHILDREN:  # an outside system made up the values
                labels = dict.fromkeys(labels, "other")
            self._counts[name] = self._counts.get(name, 0) + 1
            child = self._metric(name).labels(service=self._service, **labels)
            if self._counts[name] <= _MOST_CHILDREN:
                self._children[key] = child
        return child

    def _metric(self, name: MetricName) -> Any:
        if name not in self._made:
            metric = METRICS[name]
            about = (name, metric.help, (SERVICE, *metric.labels))
            match metric.type:
                case "counter":
                    self._made[name] = Counter(*about, registry=self.registry)
                case "histogram":
                    self._made[name] = Histogram(*about, registry=self.registry, buckets=_SECONDS)
                case "gauge":
                    self._made[name] = Gauge(*about, registry=self.registry)
        return self._made[name]


_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_bound: ContextVar[Mapping[str, str]] = ContextVar("log_fields", default=_NOTHING)
_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)


def bind(**fields: str) -> Token[Mapping[str, str]]:
    """Adds fields to every log line of this task and what it starts."""
    return _bound.set({**_bound.get(), **fields})


def bound() -> Mapping[str, str]:
    """The fields that `bind` has added here."""
    return _bound.get()


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
            "message": record.getMessage() if self._with_messages else _message(record),
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


def _message(record: logging.LogRecord) -> str:
    """The message without what other loggers quote in it: the text of an exception, or of a value."""
    message = record.getMessage()
    if record.name == "asyncio":  # the lines after the first show the task with its exception
        return message.partition("\n")[0]
    if record.name.startswith("uvicorn") and "Traceback" in message:
        return "a traceback, which is logged without its messages by itself"
    if record.name == "py.warnings":  # FILE:LINE: CATEGORY: TEXT, and pydantic's text quotes the value
        found = _WARNING.match(message)
        return found.group() if found else "a warning"
    return message


_WARNING: Final = re.compile(r"[^\n]*?:\d+: \w+(?=:)")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            for member in each.exceptions:
                yield from _chain(member)
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def configure_logging(service: str, *, level: str, development: bool) -> None:
    """Called once, by the process and by nobody else. Also of warnings and of what ends the process."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter(service, with_messages=development))
    install_handler(handler, service, level=level)
    sys.excepthook = _log_the_end


def install_handler(handler: logging.Handler, service: str, *, level: str) -> None:
    """Makes `handler` the only one of this process; repeated outages and chatty libraries are dropped."""
    handler.addFilter(OutageFilter(lambda: _bound.get().get("service", service)))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for chatty in ("httpx", "httpcore", "aiokafka"):
        logging.getLogger(chatty).setLevel("WARNING")


def _log_the_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Instead of Python's own report, which prints the message of the exception."""
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger(__name__).critical("the process ends", exc_info=(kind, error, trace))


def configure_tracing(service: str, *, endpoint: str | None) -> None:
    """Exports spans to an OTLP endpoint; without one, trace context is still carried on."""
    if endpoint is None:
        return
    exporting = BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint))
    trace.set_tracer_provider(tracer_provider(service, exporting))


def tracer_provider(service: str, processor: SpanProcessor) -> TracerProvider:
    """Makes the spans of a process and hands them to `processor`."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(processor)
    return provider


# For every `FastAPI(telemetry=...)`: it would export the path and the query of each request, with the ids and
# codes in them. The spans of requests are made by `common.web.edge.Edge`.
FASTAPI_OFF: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}

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

    Yields its own traceparent. An exception marks the span as failed, with its type. Names and attributes are
    routes, topics and types, never ids of people.
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
        set_status_on_exception=False,  # the description of the status would be that message
    ) as current:
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        token = _traceparent.set(carrier.get("traceparent"))
        try:
            yield carrier.get("traceparent", "")
        except BaseException as error:
            current.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            _traceparent.reset(token)


def describe_span(*, name: str, failed: bool = False, **attributes: str | int) -> None:
    """Says of the current span what is known at its end only: its name, attributes, whether it failed."""
    current = trace.get_current_span()
    if current.is_recording():
        current.update_name(name)
        current.set_attributes(attributes)
        if failed:
            current.set_status(trace.StatusCode.ERROR)


def _child(parent: str | None) -> str:
    if parent is not None and _TRACEPARENT.fullmatch(parent):
        return f"{parent[:36]}{secrets.token_hex(8)}{parent[52:]}"
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
