"""A real Apache Kafka (KRaft, one node) on loopback, from jars that Maven brings: no Docker."""

import asyncio
import base64
import functools
import hashlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final, Self
from uuid import uuid4

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from local.errors import LocalError
from local.paths import REPOSITORY, make_directory
from local.processes import Child, start_child

POM: Final = REPOSITORY / "tests" / "support" / "kafka" / "pom.xml"
_OLDEST_JAVA: Final = 17
_MEGABYTES: Final = 200
_FETCH_SECONDS: Final = 300
_START_SECONDS: Final = 90
_POLL_SECONDS: Final = 0.05
_REQUEST_MS: Final = 10_000

CONSUMER: Final[Mapping[str, Any]] = {
    "session_timeout_ms": 6000,
    "heartbeat_interval_ms": 500,
    "fetch_max_wait_ms": 500,
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
}
PRODUCER: Final[Mapping[str, Any]] = {"acks": "all", "enable_idempotence": True, "linger_ms": 0}

_JVM: Final = ("-Xms128m", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
_LOGGING: Final = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",)
# One node: every replication factor is one. Sessions are short: a broker that is killed starts again at once,
# and its own session has to end before it is let in.
_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{more}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{more}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
controller.quorum.election.timeout.ms=300
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
min.insync.replicas=1
log.cleaner.dedupe.buffer.size=8388608
"""


@functools.cache
def unavailable() -> str | None:
    """Why no real Kafka can run on this machine, or None when one can (if Maven finds the jars)."""
    if shutil.which("java") is None:
        return "java is missing"
    if shutil.which("mvn") is None:
        return "mvn is missing"
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)  # noqa: S607
    version = re.search(r'version "(\d+)', said.stderr + said.stdout)
    if version is None:
        return "java does not say its version"
    if int(version[1]) < _OLDEST_JAVA:
        return f"java {version[1]} is too old: Kafka needs {_OLDEST_JAVA}"
    return None


async def fetch_jars(cache: Path | None = None) -> Path:
    """The directory of Kafka's jars, downloaded by Maven when they are not there yet.

    Raises LocalError with the reason when there is no Java or Maven, or the download fails.
    """
    if (reason := unavailable()) is not None:
        raise LocalError(f"no real Kafka here: {reason}")
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    cache = cache or REPOSITORY / "var" / "cache"
    jars = cache / f"kafka-{digest}"
    if jars.is_dir():
        return jars
    make_directory(cache, megabytes=_MEGABYTES)
    fresh = Path(mkdtemp(dir=cache))
    argv = ["mvn", "--batch-mode", "--quiet", "--file", str(POM), "dependency:copy-dependencies"]
    argv += [f"-DoutputDirectory={fresh / 'jars'}"]
    log = fresh / "maven.log"
    maven = await start_child("maven", argv, env=_environment(), log=log)
    try:
        failed = await asyncio.wait_for(maven.wait(), _FETCH_SECONDS)
        if failed:
            raise LocalError(f"Maven brought no Kafka: {_reason(log)}")
        # Two may fetch at the same time: the first one's jars stay.
        with suppress(OSError):
            (fresh / "jars").rename(jars)
    except TimeoutError:
        raise LocalError(f"Maven brought no Kafka within {_FETCH_SECONDS} s") from None
    finally:
        await maven.kill()
        shutil.rmtree(fresh, ignore_errors=True)
    return jars


class Kafka:
    """One broker, which can be killed and started again on its data and port."""

    bootstrap_servers: str
    cluster_id: str

    def __init__(self, directory: Path, jars: Path) -> None:
        self._directory = directory
        self._classpath = f"{jars}/*"
        self._properties = directory / "server.properties"
        self._child: Child | None = None

    @classmethod
    async def launch(
        cls,
        directory: Path,
        *,
        topics: Mapping[str, int] | None = None,
        listeners: Mapping[str, int] | None = None,
        properties: str = "",
    ) -> Self:
        """Format `directory` unless it holds data, start, and create the `topics` that are missing.

        `listeners` are further ones by protocol (SSL, SASL_SSL) and port; `properties` are theirs.
        """
        jars = await fetch_jars()
        make_directory(directory, megabytes=_MEGABYTES)
        kafka = cls(directory, jars)
        port, controller_port = _free_ports(2)
        data = directory / "data"
        more = "".join(f",{name}://127.0.0.1:{number}" for name, number in (listeners or {}).items())
        kafka._properties.write_text(
            _PROPERTIES.format(port=port, controller_port=controller_port, data=data, more=more) + properties
        )
        kafka.bootstrap_servers = f"127.0.0.1:{port}"
        kafka.cluster_id = await kafka._format(data)
        await kafka.start()
        try:
            await kafka.create_topics(topics or {})
        except BaseException:
            await kafka.stop()
            raise
        return kafka

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    async def start(self) -> None:
        """Start the broker and wait until it answers; raises LocalError with what it said if it does not."""
        log = self._directory / "log"
        argv = ["java", *_JVM, *_LOGGING, "-cp", self._classpath, "kafka.Kafka", str(self._properties)]
        self._child = await start_child("kafka", argv, env=_environment(), log=log)
        try:
            await asyncio.wait_for(self._answering(self._child), _START_SECONDS)
        except TimeoutError:
            await self.kill()
            raise LocalError(f"Kafka did not answer within {_START_SECONDS} s: see {log}") from None
        except BaseException:
            await self.kill()
            raise

    async def create_topics(self, topics: Mapping[str, int]) -> None:
        """Create the `topics` (name to number of partitions) that do not exist."""
        async with self._admin() as admin:
            missing = topics.keys() - set(await admin.list_topics())
            if not missing:
                return
            new = [NewTopic(name, topics[name], 1) for name in sorted(missing)]
            answer = await admin.create_topics(new, timeout_ms=_REQUEST_MS)
        for name, code, *_ in answer.topic_errors:
            if code:
                raise LocalError(f"Kafka made no topic {name}: {for_code(code).__name__}")

    async def kill(self) -> None:
        """End it without a chance to tidy up (-9)."""
        if self._child is not None:
            await self._child.kill()

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop()

    async def _format(self, data: Path) -> str:
        meta = data / "meta.properties"
        if meta.exists():
            known = dict(line.split("=", 1) for line in meta.read_text().splitlines() if "=" in line)
            return known["cluster.id"]
        cluster_id = _cluster_id()
        argv = ["java", *_JVM, *_LOGGING, "-cp", self._classpath, "kafka.tools.StorageTool", "format"]
        argv += ["-t", cluster_id, "-c", str(self._properties)]
        log = self._directory / "format.log"
        tool = await start_child("kafka's format", argv, env=_environment(), log=log)
        try:
            failed = await tool.wait()
        finally:
            await tool.kill()
        if failed:
            raise LocalError(f"Kafka cannot make its data directory: {_reason(log)}")
        return cluster_id

    async def _answering(self, child: Child) -> None:
        host, port = self.bootstrap_servers.split(":")
        while True:
            if child.returncode is not None:
                raise LocalError(f"Kafka does not start: {_reason(child.log)}")
            # A plain connection first: the client complains aloud about every one that is refused.
            with suppress(OSError):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
                await writer.wait_closed()
                break
            await asyncio.sleep(_POLL_SECONDS)
        while True:
            with suppress(KafkaError):
                async with self._admin() as admin:
                    if (await admin.describe_cluster())["brokers"]:
                        return
            await asyncio.sleep(_POLL_SECONDS)

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers, request_timeout_ms=_REQUEST_MS)
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()


@asynccontextmanager
async def running(directory: Path, **options: Any) -> AsyncIterator[Kafka]:
    """`Kafka.launch` with the same arguments, and its end."""
    kafka = await Kafka.launch(directory, **options)
    try:
        yield kafka
    finally:
        await kafka.stop()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _cluster_id() -> str:
    """A random one in Kafka's alphabet; a leading dash would look like an option to its tool."""
    while (text := base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


def _environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "JAVA_HOME", "MAVEN_OPTS", "MAVEN_ARGS", "LANG")
    return {name: os.environ[name] for name in kept if name in os.environ}  # noqa: TID251 - for Java and Maven


def _reason(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    if any("No space left on device" in line for line in lines):
        return "the disk is full"
    telling = [line for line in lines if re.search(r"ERROR|Exception", line)]
    return (telling or lines or ["it did not say why"])[0][:300]
