import json
import re
from pathlib import Path

import httpx

from local.front import Front
from local.platform import claim_port, serving
from local.reference_pages import Load, at, reference_pages

API = Path(__file__).parents[2] / "docs/openapi"
SERVICES = ("booking", "payment", "claims", "documents")


def _load(service: str) -> Load:
    async def load() -> dict[str, object]:
        document: dict[str, object] = json.loads((API / f"{service}.json").read_text(encoding="utf-8"))
        return document

    return load


def _client() -> httpx.AsyncClient:
    front = Front({"docs": "/docs"})
    front.mount("/docs", reference_pages({service: _load(service) for service in SERVICES}))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=front), base_url="http://front")


async def test_the_front_serves_a_reference_that_needs_nobody_else() -> None:
    async with _client() as client:
        answers = [await client.get(path) for path in ("/docs", *(f"/docs/{each}" for each in SERVICES))]

    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert "<script" not in answer.text
        targets = re.findall(r'(?:src|href)="([^"]*)"', answer.text)
        assert targets
        assert [each for each in targets if not re.match(r"/docs\b|#", each)] == []


async def test_every_link_of_the_reference_leads_somewhere() -> None:
    async with _client() as client:
        index = (await client.get("/docs")).text
        pages = {f"/docs/{each}": (await client.get(f"/docs/{each}")).text for each in SERVICES}
        style = await client.get("/docs/reference.css")

    assert style.headers["content-type"] == "text/css"
    assert "url(" not in style.text
    for path, anchor in re.findall(r'href="(/docs/\w+)#([^"]+)"', index):
        assert f'id="{anchor}"' in pages[path]
    for text in pages.values():
        assert set(re.findall(r'href="#([^"]+)"', text)) <= set(re.findall(r'id="([^"]+)"', text))


async def test_the_root_names_the_reference_and_other_pages_and_methods_are_refused() -> None:
    async with _client() as client:
        assert (await client.get("/")).json() == {"docs": "/docs"}
        assert (await client.get("/docs/nobody")).status_code == 404
        refused = await client.post("/docs")

    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


async def test_the_document_of_another_process_is_asked_for_over_http() -> None:
    listener = claim_port(0)
    async with serving(Front({"openapi": "3.1.0"}), listener):
        document = await at(f"http://127.0.0.1:{listener.getsockname()[1]}/")()

    assert document == {"openapi": "3.1.0"}


async def test_the_reference_shows_what_the_journeys_sent_although_the_served_document_does_not() -> None:
    async def load() -> dict[str, object]:
        document = json.loads((API / "booking.json").read_text(encoding="utf-8"))
        del document["paths"]["/booking/v1/patients"]["post"]["requestBody"]["content"]["application/json"][
            "examples"
        ]
        return dict(document)

    front = Front({"docs": "/docs"})
    front.mount("/docs", reference_pages({"booking": load}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=front), base_url="http://front") as client:
        shown = (await client.get("/docs/booking")).text

    _, _, operation = shown.partition('<h3 id="create_patient">')
    request, _, _ = operation.partition("<h4>Answer 201</h4>")
    assert "birth_name" in request.partition("<summary>Example: From a journey</summary>")[2]
