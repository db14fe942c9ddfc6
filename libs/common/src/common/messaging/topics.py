"""Creates a service's topics: auto-creation is off, and what exists must be as it was declared."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from common.events.topics import Topic
from common.messaging.kafka import connection_options
from common.settings import KafkaSettings

_COPIES: Final = 3


class TopicDiffers(Exception):
    """A topic exists with another number of partitions: its keys would move. It is never changed in place."""


async def create(kafka: KafkaSettings, topics: Sequence[Topic]) -> list[str]:
    """Creates those that do not exist yet, and returns their names. The embedded broker brings its own.

    Raises TopicDiffers, and what Kafka answers when it refuses one.
    """
    if kafka.profile == "embedded":
        return []
    admin = AIOKafkaAdminClient(**connection_options(kafka))
    await admin.start()
    try:
        copies = kafka.replication_factor
        if copies < 1:
            copies = min(_COPIES, len((await admin.describe_cluster())["brokers"]))
        existing = set(await admin.list_topics())
        missing = [topic for topic in topics if topic.name not in existing]
        present = [topic for topic in topics if topic.name in existing]
        for described in await admin.describe_topics([topic.name for topic in present]) if present else []:
            _compare(described["topic"], len(described["partitions"]), present)
        if missing:
            answer = await admin.create_topics([_new(topic, copies) for topic in missing])
            for name, code, *_ in answer.topic_errors:
                error = for_code(code)
                if code and error is not TopicAlreadyExistsError:
                    raise error(name)
        return [topic.name for topic in missing]
    finally:
        await admin.close()


def _compare(name: str, partitions: int, topics: Sequence[Topic]) -> None:
    [declared] = [topic.partitions for topic in topics if topic.name == name]
    if partitions != declared:
        raise TopicDiffers(f"{name} has {partitions} partitions, declared are {declared}")


def _new(topic: Topic, copies: int) -> NewTopic:
    return NewTopic(
        topic.name,
        topic.partitions,
        copies,
        topic_configs={
            "retention.ms": str(topic.retention // timedelta(milliseconds=1)),
            "cleanup.policy": "compact" if topic.compacted else "delete",
        },
    )
