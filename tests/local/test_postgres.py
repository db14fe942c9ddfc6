import asyncio
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from local import postgres
from local.errors import LocalError
from local.postgres import Postgres
from support.eventually import eventually

# Starts a server and dies without a chance to end it.
KILLED = """
import os, pathlib, signal, sys
from local import postgres
server = postgres.start(pathlib.Path(sys.argv[1]), databases=["one"], durable=False, dies_with_parent={dies})
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def left_behind(directory: Path, *, dies: bool = False) -> int:
    """Start a server in a process that is then killed, and answer the server's pid."""
    argv = [sys.executable, "-c", KILLED.format(dies=dies), str(directory)]
    killed = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    return int(killed.stdout)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def ask(dsn: str, question: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    directory = tmp_path_factory.mktemp("kept")
    with postgres.running(directory, databases=["one", "two"], durable=False) as running:
        yield running


async def test_each_role_owns_its_database_and_is_kept_out_of_the_others(server: Postgres) -> None:
    assert await ask(server.dsn("one"), "SELECT current_user || current_database()") == "oneone"
    await ask(server.dsn("one"), "CREATE TABLE thing (id int)")
    for other in ("two", "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(server.dsn("one").replace("@/one", f"@/{other}"))


async def test_a_wrong_password_is_refused(server: Postgres) -> None:
    wrong = re.sub(r":[^:@]+@", ":wrong@", server.dsn("one"))

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong)


async def test_the_connections_are_enough_for_every_pool(server: Postgres) -> None:
    assert await ask(server.admin_dsn, "SHOW max_connections") == "200"


def test_passwords_are_for_their_owner_only(server: Postgres) -> None:
    mode = (server.directory / "passwords.json").stat().st_mode

    assert stat.S_IMODE(mode) == 0o600


def test_a_second_start_on_the_same_directory_names_the_first(server: Postgres) -> None:
    with pytest.raises(LocalError, match=rf"in use by another run \(process {os.getpid()}\)"):
        postgres.start(server.directory, databases=["one"])


async def test_a_second_run_finds_the_data_of_the_first(tmp_path: Path) -> None:
    with postgres.running(tmp_path, databases=["one"], durable=False) as first:
        await ask(first.dsn("one"), "CREATE TABLE kept AS SELECT 7 AS number")

    with postgres.running(tmp_path, databases=["one", "late"], durable=False) as second:
        assert not second.adopted
        assert second.dsn("one") == first.dsn("one")
        assert await ask(second.dsn("one"), "SELECT number FROM kept") == 7
        assert await ask(second.dsn("late"), "SELECT current_user") == "late"
    assert not alive(second.pid)


async def test_a_server_left_behind_by_a_kill_is_adopted_and_then_stopped(tmp_path: Path) -> None:
    pid = left_behind(tmp_path)
    assert alive(pid)

    adopting = postgres.start(tmp_path, databases=["one"], durable=False)

    assert (adopting.adopted, adopting.pid) == (True, pid)
    assert await ask(adopting.dsn("one"), "SELECT current_user") == "one"
    adopting.stop()
    assert not alive(pid)


async def test_a_server_that_was_killed_too_is_recovered(tmp_path: Path) -> None:
    os.kill(left_behind(tmp_path), signal.SIGKILL)

    with postgres.running(tmp_path, databases=["one"], durable=False) as recovered:
        assert not recovered.adopted
        assert await ask(recovered.dsn("one"), "SELECT current_user") == "one"


async def test_a_stale_pid_that_now_belongs_to_a_stranger_is_not_adopted(tmp_path: Path) -> None:
    with postgres.running(tmp_path, databases=["one"], durable=False) as first:
        lines = (tmp_path / "data" / "postmaster.pid").read_text().splitlines()
    (tmp_path / "data" / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    with postgres.running(tmp_path, databases=["one"], durable=False) as second:
        assert not second.adopted
        assert second.pid not in {first.pid, os.getpid()}


async def test_a_server_that_shall_die_with_its_parent_does(tmp_path: Path) -> None:
    pid = left_behind(tmp_path, dies=True)

    await eventually(lambda: not alive(pid), within=10)


async def test_a_start_that_was_killed_while_it_made_the_cluster_begins_again(tmp_path: Path) -> None:
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").write_text("18\n")

    with postgres.running(tmp_path, databases=["one"], durable=False) as server:
        assert await ask(server.dsn("one"), "SELECT 1") == 1


async def test_a_path_that_is_too_long_for_a_socket_works_all_the_same(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)

    with postgres.running(deep, databases=["one"], durable=False) as server:
        assert await ask(server.dsn("one"), "SELECT 1") == 1


def test_a_directory_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(LocalError, match=r"^cannot use .*file: file exists$"):
        postgres.start(tmp_path / "file")


def test_too_little_space_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_MEGABYTES", 10**9)

    with pytest.raises(LocalError, match=r"^the disk is full: \d+ MB free in .*, 1000000000 MB are needed$"):
        postgres.start(tmp_path)


async def test_stopping_ends_open_connections(tmp_path: Path) -> None:
    server = postgres.start(tmp_path, databases=["one"], durable=False)
    connection = await asyncpg.connect(server.dsn("one"))

    await asyncio.to_thread(server.stop)

    await eventually(connection.is_closed)
