"""librdkafka's mock cluster as a process of its own, driven over stdin and stdout.

The wheel confluent-kafka carries librdkafka, which exports its mock broker's C interface; it speaks Kafka's
protocol to any client. All that touches this experimental interface is in this module. It keeps nothing
on disk and at most 5 MiB a partition, has no admin interface, and does not isolate transactions.

Both directions are JSON, one line each: a line in is a call of `_Cluster`, its answer a line out. The end of
stdin ends the process.
"""

import ctypes
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

_PRODUCER: Final = 0  # RD_KAFKA_PRODUCER: the mock needs some client to live in
_ALREADY_EXISTS: Final = 36
_PATTERNS: Final = ("confluent_kafka.libs/librdkafka*", "confluent_kafka/.dylibs/librdkafka*")
API_KEYS: Final = {
    "produce": 0,
    "fetch": 1,
    "list_offsets": 2,
    "metadata": 3,
    "offset_commit": 8,
    "offset_fetch": 9,
    "find_coordinator": 10,
    "join_group": 11,
    "heartbeat": 12,
    "leave_group": 13,
    "sync_group": 14,
    "init_producer_id": 22,
}
_SIGNATURES: Final[dict[str, tuple[Any, list[Any]]]] = {
    "rd_kafka_conf_new": (ctypes.c_void_p, []),
    "rd_kafka_new": (ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]),
    "rd_kafka_mock_cluster_new": (ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_int]),
    "rd_kafka_mock_cluster_bootstraps": (ctypes.c_char_p, [ctypes.c_void_p]),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [ctypes.c_void_p, ctypes.c_int32]),
    "rd_kafka_mock_topic_create": (
        ctypes.c_int,
        [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int],
    ),
    "rd_kafka_mock_broker_set_down": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_int32]),
    "rd_kafka_mock_broker_set_up": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_int32]),
    "rd_kafka_mock_broker_set_rtt": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int]),
    "rd_kafka_mock_push_request_errors_array": (
        None,
        [ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)],
    ),
    "rd_kafka_mock_clear_request_errors": (None, [ctypes.c_void_p, ctypes.c_int16]),
}


class ClusterRefused(Exception):
    """librdkafka answered with an error, or is not there."""


def _library() -> ctypes.CDLL:
    spec = find_spec("confluent_kafka")
    if spec is None or spec.origin is None:
        raise ClusterRefused("the package confluent-kafka, which brings the broker, is not installed")
    site = Path(spec.origin).parents[1]
    found = [path for pattern in _PATTERNS for path in sorted(site.glob(pattern))]
    if not found:
        raise ClusterRefused(f"this build of confluent-kafka carries no librdkafka beside {spec.origin}")
    library = ctypes.CDLL(str(found[0]))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class _Cluster:
    """The calls that a line on stdin can make."""

    def __init__(self, brokers: int) -> None:
        self._library = _library()
        why = ctypes.create_string_buffer(512)
        client = self._library.rd_kafka_new(_PRODUCER, self._library.rd_kafka_conf_new(), why, len(why))
        if client is None:
            raise ClusterRefused(why.value.decode())
        self._brokers = brokers
        self._mock = self._library.rd_kafka_mock_cluster_new(client, brokers)
        if self._mock is None:
            raise ClusterRefused("the embedded broker found no free port on 127.0.0.1")
        # Kafka waits 3 s for more members before a group's first assignment; here nobody else comes.
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._mock, 0)

    def describe(self) -> dict[str, str]:
        bootstrap_servers = self._library.rd_kafka_mock_cluster_bootstraps(self._mock).decode()
        return {"bootstrap_servers": bootstrap_servers, "cluster_id": str(uuid4())}

    def topics(self, topics: dict[str, int]) -> None:
        for name, partitions in topics.items():
            error = self._library.rd_kafka_mock_topic_create(self._mock, name.encode(), partitions, 1)
            if error == _ALREADY_EXISTS:
                raise ClusterRefused(f"topic {name} exists already")
            self._check(error)

    def down(self, broker: int) -> None:
        self._check(self._library.rd_kafka_mock_broker_set_down(self._mock, broker))

    def up(self, broker: int) -> None:
        self._check(self._library.rd_kafka_mock_broker_set_up(self._mock, broker))

    def fail(self, api: str, codes: list[int]) -> None:
        errors = (ctypes.c_int * len(codes))(*codes)
        self._library.rd_kafka_mock_push_request_errors_array(self._mock, API_KEYS[api], len(codes), errors)

    def heal(self) -> None:
        for key in API_KEYS.values():
            self._library.rd_kafka_mock_clear_request_errors(self._mock, key)

    def round_trip(self, milliseconds: int) -> None:
        for broker in range(1, self._brokers + 1):
            self._check(self._library.rd_kafka_mock_broker_set_rtt(self._mock, broker, milliseconds))

    def _check(self, error: int) -> None:
        if error:
            raise ClusterRefused(f"librdkafka error {error}")


def _answer(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> int:
    try:
        cluster = _Cluster(int(sys.argv[1]))
    except (ClusterRefused, OSError) as error:
        _answer({"error": str(error)})
        return 1
    _answer(cluster.describe())
    for line in sys.stdin:
        call = json.loads(line)
        try:
            getattr(cluster, call.pop("do"))(**call)
        except (ClusterRefused, KeyError) as error:
            _answer({"error": str(error)})
        else:
            _answer({})
    return 0


if __name__ == "__main__":
    sys.exit(main())
