"""All journeys of `make run`, and a few calls more: what leaves the process as spans, logs and metrics.

Each value that is forbidden there was really asked, answered or kept in this run: ids of people and of their
appointments, codes and tokens, personal data, the secrets of the platform.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from common.telemetry import JsonFormatter, tracer_provider
from local.configuration import SERVICES, Secrets
from local.journeys.player import play
from local.platform import Platform, free_ports, in_one_process

# The names of fields that hold what may not leave, by what they are.
PERSON: Final = {"patient_id", "account_id", "subject", "appointment_id"}
CODE: Final = {
    "access_token",
    "provider_token",
    "token",
    "url",
    "next_cursor",
    "client_secret",
    "code_for_patient",
}
PERSONAL: Final = {
    "first_names",
    "birth_name",
    "used_name",
    "birth_date",
    "born_on",
    "nir",
    "email",
    "phone",
    "street",
    "member_number",
    "dosage",
    "indication",
    "text",
}
ASKED_ID: Final = "journeys-4711"


@dataclass
class Left:
    """What left the process, and what may not be in it: the value, and what it is."""

    spans: tuple[ReadableSpan, ...]
    lines: list[dict[str, Any]]
    samples: list[Any]
    forbidden: dict[str, str]
    recorded: str


@dataclass
class Lines(logging.Handler):
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter("platform"))

    def __hash__(self) -> int:
        return id(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(scope="module")
async def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    directory = tmp_path_factory.mktemp("platform")
    record = directory / "record.jsonl"
    exporter, handler = InMemorySpanExporter(), Lines()
    provider = tracer_provider("platform", SimpleSpanProcessor(exporter))
    root, [port] = logging.getLogger(), free_ports(1)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in ("common", *SERVICES):
        logging.getLogger(name).setLevel(logging.DEBUG)
    chatty = [logging.getLogger(name) for name in ("httpx", "httpcore", "aiokafka")]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trace, "get_tracer_provider", lambda: provider)
        for each in chatty:
            patched.setattr(each, "level", logging.WARNING)
        try:
            async with in_one_process(directory, port=port, record=record) as platform:
                await play(platform, Console(quiet=True))
                calls = read_calls(record)
                await call_with_personal_data(platform, calls)
                exposed = [each.exposition().decode() for each in platform.metrics]
        finally:
            root.removeHandler(handler)
            root.setLevel(level)
            for name in ("common", *SERVICES):
                logging.getLogger(name).setLevel(logging.NOTSET)
    recorded = record.read_text(encoding="utf-8")
    return Left(
        spans=exporter.get_finished_spans(),
        lines=[json.loads(each) for each in handler.lines],
        samples=[
            sample
            for text in exposed
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ],
        forbidden=forbidden_of(read_calls(record), Secrets.kept_in(directory).values),
        recorded=recorded,
    )


def read_calls(record: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]


def fields_of(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a JSON value with the name of its field."""
    match value:
        case dict():
            for key, each in value.items():
                yield from fields_of(each, key)
        case list():
            for each in value:
                yield from fields_of(each, name)
        case str():
            yield name, value
        case _:
            pass


def forbidden_of(calls: list[dict[str, Any]], secrets: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = dict.fromkeys(secrets.values(), "a secret of the platform")
    for call in calls:
        body = [call["query"], call["request"], call["answer"]]
        for name, value in fields_of(body):
            for names, what in ((PERSON, "an id"), (CODE, "a code"), (PERSONAL, "personal data")):
                if name in names and len(value) > 2:
                    found[value] = f"{what}: {name}"
        if call["status"] == 201 and call["path"] in {"/booking/v1/patients", "/booking/v1/appointments"}:
            found[call["answer"]["id"]] = "an id: of a patient or an appointment"
        for named in re.findall(r"/verifications?/([^/]+)$", call["path"]):
            found[named] = "a code: of a document"
    for value, what in list(found.items()):
        if what.startswith("an id"):
            found[UUID(value).hex] = what
        elif what.startswith("a code: url"):
            found[value.rstrip("/").rpartition("/")[2]] = what
        found[quote(value)] = what
    return found


async def call_with_personal_data(platform: Platform, calls: list[dict[str, Any]]) -> None:
    """What careless clients send: personal data and codes in paths, queries, headers and broken bodies."""
    known = dict(item for call in calls for item in fields_of([call["request"], call["answer"]]))
    urls = {value for call in calls for name, value in fields_of(call["answer"]) if "/verif" in value}
    async with httpx.AsyncClient(base_url=platform.addresses.front, timeout=10) as client:
        for url in urls:
            assert (await client.get(url)).status_code == 200
        token = known["access_token"]
        nir, name, patient = known["nir"], known["birth_name"], known["patient_id"]
        for service in SERVICES:
            answers = [
                await client.get(
                    f"/{service}/v1/nothing/{patient}/{nir}", headers={"X-Request-ID": ASKED_ID}
                ),
                await client.get(f"/{service}/v1/nothing", params={"nir": nir, "name": name, "token": token}),
                await client.get(
                    f"/{service}/v1/patients/{patient}", headers={"Authorization": f"Bearer {token[:-4]}AAAA"}
                ),
                await client.get(f"/{service}/v1/nothing", headers={"X-Request-ID": f"{name} {nir}"}),
                await client.get(f"/{service}/v1/nothing", headers={"traceparent": f"00-{nir}-{name}-01"}),
                await client.request(name.upper(), f"/{service}/v1/nothing"),
            ]
            assert {each.status_code for each in answers} <= {400, 401, 404, 405}, answers
            assert nir not in answers[3].headers["X-Request-ID"]
        broken = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        await client.post("/booking/v1/patients", content=f'{{"birth_name": "{name}", ', headers=broken)
        await client.post("/booking/v1/patients", json={"birth_name": name, "nir": nir}, headers=broken)
        await client.post("/payment/v1/provider-events", content=f"{name} {nir}")


def found_in(text: str, forbidden: Mapping[str, str]) -> list[str]:
    """What of `forbidden` stands in `text` as a word of its own, whatever its case."""
    lowered = text.lower()
    return [
        f"{what} ({value[:12]}) in {text[:200]}"
        for value, what in forbidden.items()
        if value.lower() in lowered
        and re.search(rf"(?<![0-9a-z]){re.escape(value.lower())}(?![0-9a-z])", lowered)
    ]


def texts_of(span: ReadableSpan) -> Iterator[str]:
    """Everything an exporter sends of a span: names, attributes of all kinds, events, links, status."""
    scope = span.instrumentation_scope
    about: list[Mapping[str, Any] | None] = [span.attributes, span.resource.attributes]
    yield span.name
    yield span.status.description or ""
    if scope is not None:
        yield f"{scope.name} {scope.version}"
        about.append(scope.attributes)
    for event in span.events:
        yield event.name
        about.append(event.attributes)
    about += [link.attributes for link in span.links]
    for attributes in about:
        for name, value in (attributes or {}).items():
            yield f"{name}={value}"


def test_the_list_of_forbidden_values_is_long_and_the_search_finds_them(left: Left) -> None:
    kinds = {what.partition(":")[0] for what in left.forbidden.values()}
    names = {what.partition(": ")[2] for what in left.forbidden.values()}

    assert kinds == {"an id", "a code", "personal data", "a secret of the platform"}
    assert {
        "patient_id",
        "account_id",
        "appointment_id",
        "access_token",
        "token",
        "nir",
        "birth_name",
    } <= names
    assert {"email", "street", "phone", "dosage", "member_number", "url"} <= names
    assert len(left.forbidden) > 200
    assert len(found_in(left.recorded, left.forbidden)) > 100, "the same search finds them where they are"


def test_no_span_holds_an_id_a_code_or_personal_data(left: Left) -> None:
    found = {
        each for span in left.spans for text in texts_of(span) for each in found_in(text, left.forbidden)
    }

    assert not found
    assert {span.instrumentation_scope.name for span in left.spans if span.instrumentation_scope} == {
        "common"
    }
    kinds = {span.kind for span in left.spans}
    assert {
        trace.SpanKind.SERVER,
        trace.SpanKind.CLIENT,
        trace.SpanKind.CONSUMER,
        trace.SpanKind.INTERNAL,
    } <= kinds
    assert len(left.spans) > 500


def test_each_request_is_a_span_and_a_line_with_its_template_and_request_id(left: Left) -> None:
    spans = [dict(span.attributes or {}) for span in left.spans if span.kind is trace.SpanKind.SERVER]
    lines = [line for line in left.lines if line["logger"] == "common.web.edge"]

    assert len(spans) == len(lines)
    assert {span["request_id"] for span in spans} == {line["request_id"] for line in lines}
    assert [line["status"] for line in lines if line["request_id"] == ASKED_ID] == [404] * len(SERVICES)
    assert all({"method", "route", "status", "ms", "caller", "service"} <= set(line) for line in lines)
    callers = {line["caller"] for line in lines}
    assert {"patient", "practitioner", "service", "nobody"} <= callers
    templates = {str(span["http.route"]) for span in spans}
    assert all(re.fullmatch(r"none|(/([a-z0-9.-]+|\{[a-z_]+\}))+", each) for each in templates), templates


def test_no_line_of_the_log_holds_an_id_a_code_or_personal_data(left: Left) -> None:
    found = {
        each for line in left.lines for each in found_in(json.dumps(line, ensure_ascii=False), left.forbidden)
    }

    assert not found
    assert len(left.lines) > 300
    assert any(line["message"].startswith("token rejected") for line in left.lines)


def test_no_label_of_a_metric_holds_an_id_a_code_or_personal_data(left: Left) -> None:
    labels = [
        f"{sample.name} {name}={value}" for sample in left.samples for name, value in sample.labels.items()
    ]

    assert not {each for label in labels for each in found_in(label, left.forbidden)}
    names = {sample.name for sample in left.samples}
    assert {
        "http_requests_total",
        "consumer_records_total",
        "tasks_finished_total",
        "relay_published_total",
    } <= names
    assert {sample.labels["service"] for sample in left.samples} == set(SERVICES)
