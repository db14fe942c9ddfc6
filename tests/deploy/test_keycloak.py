"""deploy/keycloak: the realm has what the services ask of an issuer, and nobody helps himself to rights."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from common.events.topics import SERVICES
from common.web.auth import Role

DEPLOY = Path(__file__).parents[2] / "deploy"
TEXT = (DEPLOY / "keycloak" / "realm.json").read_text(encoding="utf-8")
REALM: dict[str, Any] = json.loads(TEXT)
CLIENTS: dict[str, dict[str, Any]] = {each["clientId"]: each for each in REALM["clients"]}


def mappers(client: str) -> dict[str, dict[str, str]]:
    return {each["protocolMapper"]: each["config"] for each in CLIENTS[client]["protocolMappers"]}


def test_the_realm_has_our_roles() -> None:
    assert {each["name"] for each in REALM["roles"]["realm"]} == set(Role)


def test_each_service_has_a_client_whose_account_alone_has_the_role_service() -> None:
    accounts = {each["serviceAccountClientId"]: each["realmRoles"] for each in REALM["users"]}

    assert accounts == {service: ["service"] for service in SERVICES}
    for service in SERVICES:
        client = CLIENTS[service]
        assert client["serviceAccountsEnabled"]
        other_ways = ("publicClient", "standardFlowEnabled", "directAccessGrantsEnabled")
        assert [name for name in other_ways if client[name]] == []


@pytest.mark.parametrize("client", [*SERVICES, "app"])
def test_every_token_has_the_audience_of_the_environment_files(client: str) -> None:
    audience = mappers(client)["oidc-audience-mapper"]["included.custom.audience"]
    told = [(DEPLOY / "env" / f"{each}.env").read_text(encoding="utf-8") for each in SERVICES]

    assert all(f"_TOKENS__AUDIENCE={audience}\n" in text for text in told)


def test_the_apps_log_in_with_a_code_and_pkce_and_by_no_other_way() -> None:
    app = CLIENTS["app"]

    assert app["attributes"]["pkce.code.challenge.method"] == "S256"
    assert [name for name, value in app.items() if value is True] == ["publicClient", "standardFlowEnabled"]
    assert mappers("app")["oidc-usermodel-attribute-mapper"]["claim.name"] == "rpps"


def test_nobody_edits_the_number_that_decides_what_a_practitioner_sees() -> None:
    [component] = REALM["components"]["org.keycloak.userprofile.UserProfileProvider"]
    profile = json.loads(component["config"]["kc.user.profile.config"][0])
    [rpps] = [each for each in profile["attributes"] if each["name"] == "rpps"]

    assert rpps["permissions"]["edit"] == ["admin"]
    assert "unmanagedAttributePolicy" not in profile
    assert REALM["registrationAllowed"] is False


def test_the_file_holds_no_secret_and_names_variables_that_exist() -> None:
    named = set(re.findall(r"\$\{(\w+)\}", TEXT))

    assert named == {"APP_URL", *(f"{each.upper()}_IDENTITY__CLIENT_SECRET" for each in SERVICES)}
    assert {re.fullmatch(r"\$\{\w+\}", CLIENTS[each]["secret"]) is not None for each in SERVICES} == {True}
    for service in SERVICES:
        text = (DEPLOY / "env" / f"{service}.env").read_text(encoding="utf-8")
        assert f"\n{service.upper()}_IDENTITY__CLIENT_SECRET=" in text
