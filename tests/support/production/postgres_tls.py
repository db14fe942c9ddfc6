"""A real PostgreSQL that takes TLS connections and no others, prepared by deploy/postgres/init.sql."""

import os
import pwd
import re
import secrets
import shutil
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from local.errors import LocalError
from local.paths import REPOSITORY
from local.platform import free_ports
from local.processes import Child, start_child
from support.eventually import eventually
from support.production.certificates import Authority

_INIT: Final = REPOSITORY / "deploy" / "postgres" / "init.sql"
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "ssl": "on",
    "max_connections": "200",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "timezone": "UTC",
}


def binaries() -> Path:
    """Where the newest PostgreSQL with TLS is: Debian's. The embedded one is built without.

    Raises LocalError.
    """
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if not found:
        raise LocalError("no PostgreSQL with TLS here: install Debian's package postgresql")
    return max(found, key=lambda path: int(path.parent.name))


@dataclass(frozen=True, slots=True)
class Server:
    port: int
    ca_file: Path
    passwords: Mapping[str, str]

    def dsn(self, role: str, database: str | None = None) -> str:
        """Without a word about TLS: that is the business of whoever connects."""
        return f"postgresql://{role}:{self.passwords[role]}@127.0.0.1:{self.port}/{database or role}"

    @property
    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))

    async def connect(self, role: str, database: str | None = None) -> asyncpg.Connection:
        return await asyncpg.connect(self.dsn(role, database), ssl=self.trusting, timeout=5)


@asynccontextmanager
async def running(directory: Path, authority: Authority) -> AsyncIterator[Server]:
    """The databases and roles of init.sql, with passwords of their own instead of the samples there.

    Raises LocalError where it cannot run. As root the server runs as nobody, who has to get into `directory`.
    """
    programs = binaries()
    data = directory / "data"
    data.mkdir(mode=0o700)
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to be root
        nobody = pwd.getpwnam("nobody")
        identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    certificate, key = authority.issue("127.0.0.1", directory)
    passwords = {"postgres": secrets.token_urlsafe(24)}
    (directory / "password").write_text(passwords["postgres"])
    hba = directory / "pg_hba.conf"
    hba.write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
    if identity:
        for each in (data, key, directory / "password"):
            shutil.chown(each, identity["user"], identity["group"])
    argv = [str(programs / "initdb"), "--pgdata", str(data), "--username=postgres", "--auth=scram-sha-256"]
    argv += [f"--pwfile={directory / 'password'}", "--encoding=UTF8", "--locale=C", "--no-sync"]
    made = await start_child("initdb", argv, env=_ENVIRONMENT, log=directory / "log", identity=identity)
    if await made.wait():
        raise LocalError(f"PostgreSQL cannot make its data directory: {made.last_lines(3)}")
    [port] = free_ports(1)
    files = {"ssl_cert_file": certificate, "ssl_key_file": key, "hba_file": hba}
    argv = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
    for name, value in (_SETTINGS | files).items():
        argv += ["-c", f"{name}={value}"]
    log = directory / "log"
    child = await start_child("postgres", argv, env=_ENVIRONMENT, log=log, identity=identity)
    server = Server(port, authority.certificate_file, passwords)
    try:
        await eventually(lambda: _answers(child, server), within=60)
        yield await _prepared(server)
    finally:
        await child.stop()


async def _answers(child: Child, server: Server) -> bool:
    if child.returncode is not None:
        raise LocalError(f"PostgreSQL ended: {child.last_lines(3)}")
    try:
        connection = await server.connect("postgres")
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


async def _prepared(server: Server) -> Server:
    passwords = dict(server.passwords)

    def own(found: re.Match[str]) -> str:
        passwords[found[1]] = secrets.token_urlsafe(24)
        return f"CREATE ROLE {found[1]} LOGIN PASSWORD '{passwords[found[1]]}'"

    script = re.sub(r"CREATE ROLE (\w+) LOGIN PASSWORD 'sample-\w+'", own, _INIT.read_text(encoding="utf-8"))
    script = re.sub(r"^--.*$", "", script, flags=re.MULTILINE)
    connection = await server.connect("postgres")
    try:
        for statement in script.split(";"):
            if statement.strip():
                await connection.execute(statement)
    finally:
        await connection.close()
    return Server(server.port, server.ca_file, passwords)
