"""A real Keycloak with the realm of deploy/keycloak, and people who log in to it as an app lets them."""

import base64
import hashlib
import html
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx

from local import kafka
from local.errors import LocalError
from local.paths import REPOSITORY
from local.platform import free_ports
from local.processes import Child, start_child
from support.eventually import eventually
from support.production.fetched import environment, fetched, run

REALM: Final = "teleconsultation"
APP_URL: Final = "http://127.0.0.1/app"  # nobody listens there: the code is read from the redirection

_POM: Final = REPOSITORY / "tests" / "support" / "keycloak" / "pom.xml"
_REALM_FILE: Final = REPOSITORY / "deploy" / "keycloak" / "realm.json"
_JVM: Final = ("-Xms128m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
_START_SECONDS: Final = 120
_MEGABYTES: Final = 500


async def unpacked() -> Path:
    """Keycloak, configured once for a database in memory. Raises LocalError."""
    if (reason := kafka.unavailable()) is not None:
        raise LocalError(f"no Keycloak here: {reason}")  # it needs the same Java and Maven as Kafka

    async def make(fresh: Path) -> None:
        unpack = ["mvn", "--batch-mode", "--quiet", "--file", str(_POM), "dependency:unpack-dependencies"]
        # Maven notes what it has unpacked, by default beside the pom, and does not do it twice
        places = [f"-DoutputDirectory={fresh / 'zip'}", f"-DmarkersDirectory={fresh / 'markers'}"]
        await run("maven", [*unpack, *places], directory=fresh)
        [home] = (fresh / "zip").iterdir()
        home.rename(fresh / "keycloak")
        build = ["bash", "keycloak/bin/kc.sh", "build", "--db=dev-mem"]
        await run("build", build, directory=fresh)

    recipe = _POM.read_text(encoding="utf-8")
    return (await fetched("keycloak", recipe, make, megabytes=_MEGABYTES)) / "keycloak"


@dataclass(slots=True)
class Keycloak:
    """`issuer` is the realm's address; `secrets` are those of the services' clients by service."""

    base: str
    secrets: Mapping[str, str]
    _admin_password: str = field(repr=False)
    _http: httpx.AsyncClient = field(repr=False)

    @property
    def issuer(self) -> str:
        return f"{self.base}/realms/{REALM}"

    @property
    def jwks_url(self) -> str:
        return f"{self.issuer}/protocol/openid-connect/certs"

    @property
    def token_url(self) -> str:
        return f"{self.issuer}/protocol/openid-connect/token"

    async def add_person(self, name: str, role: str, *, rpps: str | None = None) -> str:
        """A user with a realm role, made by the administrator; returns the password."""
        headers = {"authorization": f"Bearer {await self._admin_token()}"}
        password = secrets.token_urlsafe(16)
        user: dict[str, Any] = {
            "username": name,
            "enabled": True,
            "credentials": [{"type": "password", "value": password, "temporary": False}],
            "attributes": {"rpps": [rpps]} if rpps else {},
        }
        api = f"{self.base}/admin/realms/{REALM}"
        made = await self._http.post(f"{api}/users", json=user, headers=headers)
        made.raise_for_status()
        roles = [(await self._http.get(f"{api}/roles/{role}", headers=headers)).json()]
        given = await self._http.post(
            f"{made.headers['location']}/role-mappings/realm", json=roles, headers=headers
        )
        given.raise_for_status()
        return password

    async def log_in(self, name: str, password: str) -> str:
        """The access token of the client `app`, by its login page, an authorization code and PKCE."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "client_id": "app",
            "response_type": "code",
            "scope": "openid",
            "redirect_uri": f"{APP_URL}/callback",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        page = await self._http.get(f"{self.issuer}/protocol/openid-connect/auth", params=asked)
        page.raise_for_status()
        form = re.search(r'<form[^>]*action="([^"]+)"', page.text)
        assert form is not None, page.text
        # a browser sends secure cookies to loopback, httpx does not
        cookies = "; ".join(each.split(";")[0] for each in page.headers.get_list("set-cookie"))
        sent = await self._http.post(
            html.unescape(form[1]), data={"username": name, "password": password}, headers={"cookie": cookies}
        )
        assert sent.status_code == httpx.codes.FOUND, sent.text
        [code] = parse_qs(urlsplit(sent.headers["location"]).query)["code"]
        answer = await self._http.post(
            self.token_url,
            data={
                "grant_type": "authorization_code",
                "client_id": "app",
                "code": code,
                "code_verifier": verifier,
                "redirect_uri": asked["redirect_uri"],
            },
        )
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    async def _admin_token(self) -> str:
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin"}
        answer = await self._http.post(
            f"{self.base}/realms/master/protocol/openid-connect/token",
            data=form | {"password": self._admin_password},
        )
        answer.raise_for_status()
        return str(answer.json()["access_token"])


@asynccontextmanager
async def running(directory: Path, services: tuple[str, ...]) -> AsyncIterator[Keycloak]:
    """Starts in about fifteen seconds. Raises LocalError where it cannot run."""
    home = directory / "keycloak"
    home_of_programs = await unpacked()
    (home / "data" / "import").mkdir(parents=True)  # where it writes, beside programs that it only reads
    for each in ("conf", "lib", "providers", "themes"):
        (home / each).symlink_to(home_of_programs / each)
    shutil.copy(_REALM_FILE, home / "data" / "import" / f"{REALM}-realm.json")
    port, management = free_ports(2)
    base = f"http://127.0.0.1:{port}"
    client_secrets = {service: secrets.token_urlsafe(32) for service in services}
    password = secrets.token_urlsafe(16)
    told = {f"{name.upper()}_IDENTITY__CLIENT_SECRET": value for name, value in client_secrets.items()}
    told |= {"APP_URL": APP_URL, "KC_BOOTSTRAP_ADMIN_USERNAME": "admin"}
    told |= {"KC_BOOTSTRAP_ADMIN_PASSWORD": password}
    argv = [*_java(home), "start", "--optimized", "--import-realm", f"--hostname={base}"]
    argv += ["--http-enabled=true", "--http-host=127.0.0.1", f"--http-port={port}"]
    argv += [f"--http-management-port={management}"]
    log = directory / "keycloak.log"
    child = await start_child("keycloak", argv, env=environment() | told, log=log, directory=home)
    try:
        async with httpx.AsyncClient(timeout=20) as client:
            keycloak = Keycloak(base, client_secrets, password, client)
            await eventually(lambda: _answers(child, client, keycloak.jwks_url), within=_START_SECONDS)
            yield keycloak
    finally:
        await child.stop()


def _java(home: Path) -> list[str]:
    """What kc.sh runs: the script itself stays between us and Java, and passes no signal on."""
    named = {
        "kc.home.dir": home,
        "jboss.server.config.dir": home / "conf",
        "java.util.logging.manager": "org.jboss.logmanager.LogManager",
        "java.util.concurrent.ForkJoinPool.common.threadFactory": (
            "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory"
        ),
    }
    options = [*_JVM, *(f"-D{name}={value}" for name, value in named.items())]
    main = "io.quarkus.bootstrap.runner.QuarkusEntryPoint"
    return ["java", *options, "-cp", str(home / "lib" / "quarkus-run.jar"), main]


async def _answers(child: Child, client: httpx.AsyncClient, url: str) -> bool:
    if child.returncode is not None:
        raise LocalError(f"Keycloak ended: {child.last_lines(3)}")
    try:
        return (await client.get(url)).is_success
    except httpx.TransportError:
        return False
