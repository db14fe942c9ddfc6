"""Logs that are JSON and hold no personal data; traces that reach from one process to the next."""

import ast
import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, ValidationError

from common import telemetry
from common.metric_catalogue import METRICS, MetricName
from common.telemetry import JsonFormatter, Metrics


def line(formatter: JsonFormatter, **extra: str) -> dict[str, Any]:
    record = logging.LogRecord("a.b", logging.INFO, "f.py", 1, "took %s", ("a hold",), sys.exc_info())
    vars(record).update(extra)
    said: dict[str, Any] = json.loads(formatter.format(record))
    return said


def test_a_line_has_what_was_bound_and_every_extra_field() -> None:
    bound = telemetry.bind(service="payment", request_id="r1")
    with telemetry.span("x") as traceparent:
        said = line(JsonFormatter("local"), appointment_id="a1")
    telemetry.unbind(bound)

    assert said.pop("at").endswith("+00:00")
    assert said == {
        "level": "info",
        "logger": "a.b",
        "message": "took a hold",
        "service": "payment",
        "request_id": "r1",
        "trace_id": traceparent[3:35],
        "appointment_id": "a1",
    }


class Person(BaseModel):
    nir: int


@pytest.mark.parametrize("with_messages", [False, True])
def test_what_an_exception_quotes_is_said_in_development_only(with_messages) -> None:
    def refused() -> dict[str, Any]:
        try:
            try:
                Person(nir="Dupont")
            except ValidationError as error:
                raise RuntimeError("Dupont again") from error
        except RuntimeError:
            return line(JsonFormatter("x", with_messages=with_messages))
        return {}

    said = refused()

    assert [each["type"] for each in said["exception"]] == [
        "builtins.RuntimeError",
        "pydantic_core._pydantic_core.ValidationError",
    ]
    assert "test_telemetry.py" in said["exception"][0]["stack"][0]
    assert ("Dupont" in json.dumps(said)) == with_messages


def test_a_step_is_under_the_one_around_it_or_the_one_that_was_sent() -> None:
    sent = f"00-{'1' * 32}-{'2' * 16}-01"
    with telemetry.span("outer", parent=sent) as outer, telemetry.span("inner") as inner:
        assert telemetry.traceparent() == inner

    assert outer[:36] == inner[:36] == sent[:36]
    assert len({outer, inner, sent}) == 3
    assert telemetry.traceparent() is None


@pytest.mark.parametrize("junk", ["", "x", f"00-{'0' * 32}-{'2' * 16}-01", f"00-{'g' * 32}-{'2' * 16}-01"])
def test_a_trace_context_that_is_none_starts_a_new_trace(junk) -> None:
    with telemetry.span("x", parent=junk) as here:
        assert here.startswith("00-")
        assert "0" * 32 not in here


def test_with_an_exporter_the_steps_are_spans_of_one_trace(monkeypatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    sent = f"00-{'1' * 32}-{'2' * 16}-01"

    with (
        telemetry.span("POST booking", kind="server", parent=sent) as server,
        telemetry.span("relay", kind="producer") as produced,
    ):
        pass
    with telemetry.span("payment", kind="consumer", parent=produced, attributes={"type": "x"}):
        pass

    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {"1" * 32}
    assert f"{spans['relay'].parent.span_id:016x}" == server[36:52]
    assert f"{spans['payment'].parent.span_id:016x}" == produced[36:52]
    assert f"{spans['POST booking'].parent.span_id:016x}" == "2" * 16


def test_each_registry_is_its_own() -> None:
    one, other = Metrics("booking"), Metrics("payment")
    one.set("outbox_rows", 3)
    one.count("consumer_records_total", topic="t", outcome="applied")
    other.observe("http_request_seconds", 0.01, method="GET", route="x")

    assert b'outbox_rows{service="booking"} 3.0' in one.exposition()
    assert b'consumer_records_total{outcome="applied",service="booking",topic="t"} 1.0' in one.exposition()
    assert b"outbox_rows" not in other.exposition()


def test_every_metric_has_its_labels() -> None:
    metrics = Metrics("x")
    for name, metric in METRICS.items():
        record = {"counter": metrics.count, "gauge": metrics.set, "histogram": metrics.observe}[metric.type]
        record(name, 1, **dict.fromkeys(metric.labels, "y"))

    families = {each.name: each for each in text_string_to_metric_families(metrics.exposition().decode())}
    for name, metric in METRICS.items():
        family = families[name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.type, metric.help)
        assert {*metric.labels, "service"} <= set(family.samples[0].labels)


def test_names_and_texts_of_metrics_follow_prometheus() -> None:
    assert set(METRICS) == set(get_args(MetricName))
    for name, metric in METRICS.items():
        assert re.fullmatch("[a-z]+(_[a-z]+)*", name)
        assert name.endswith("_total") == (metric.type == "counter"), name
        assert name.endswith("_seconds") == ("Seconds" in metric.help or "seconds" in metric.help), name
        assert re.fullmatch("[A-Z].*[a-z0-9]", metric.help.removesuffix(".")), name
        assert metric.help != name.replace("_", " ")
        assert not set(metric.labels) & {"id", "key", "path", "patient", "account", "appointment"}


def test_a_label_whose_values_have_no_end_is_counted_as_other() -> None:
    metrics = Metrics("x")
    for number in range(3000):
        metrics.count("tasks_finished_total", kind="refund", outcome=f"made-up-{number}")

    lines = [
        each
        for each in metrics.exposition().decode().splitlines()
        if each.startswith("tasks_finished_total{")
    ]
    assert len(lines) == 2001
    assert 'tasks_finished_total{kind="other",outcome="other",service="x"} 1000.0' in lines


def test_an_exception_marks_the_span_as_failed_without_its_message(monkeypatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)

    with pytest.raises(RuntimeError), telemetry.span("x"):
        raise RuntimeError("the patient is called Dupont")

    [span] = exporter.get_finished_spans()
    assert (span.status.status_code.name, span.status.description) == ("ERROR", "RuntimeError")
    assert "Dupont" not in span.to_json()


@pytest.mark.parametrize(
    ("logger", "message", "said"),
    [
        (
            "asyncio",
            "Task exception was never retrieved\nfuture: <Task exception=ValueError('Dupont')>",
            "Task exception was never retrieved",
        ),
        (
            "py.warnings",
            "/a/b.py:12: UserWarning: Expected `int` [input_value='Dupont']\n  return 1\n",
            "/a/b.py:12: UserWarning",
        ),
        ("py.warnings", "Dupont", "a warning"),
        (
            "uvicorn.error",
            "Traceback (most recent call last):\n  File x\nRuntimeError: Dupont\n",
            "a traceback, which is logged without its messages by itself",
        ),
    ],
)
def test_what_python_itself_logs_quotes_no_value(logger, message, said) -> None:
    record = logging.LogRecord(logger, logging.ERROR, "f.py", 1, message, None, None)

    assert json.loads(JsonFormatter("x").format(record))["message"] == said


def test_what_ends_a_process_is_logged_without_its_message() -> None:
    code = "from common.telemetry import configure_logging as c; c('x', level='INFO', development=False); "
    ended = subprocess.run(
        [sys.executable, "-c", code + "raise RuntimeError('Dupont')"], capture_output=True, check=False
    )

    assert ended.returncode == 1
    assert json.loads(ended.stderr)["exception"][0]["type"] == "builtins.RuntimeError"
    assert b"Dupont" not in ended.stderr


def test_every_app_of_the_repository_turns_the_spans_of_fastapi_off() -> None:
    root = Path(__file__).parents[2]
    sources = [each for folder in ("libs", "services", "deploy") for each in (root / folder).rglob("*.py")]
    made = [
        call
        for source in sources
        for call in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "FastAPI"
    ]

    assert len(made) > 3
    for call in made:
        [told] = [ast.unparse(each.value) for each in call.keywords if each.arg == "telemetry"]
        assert told.endswith("FASTAPI_OFF")
