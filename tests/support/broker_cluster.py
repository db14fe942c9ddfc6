"""A broker as the consumer contract uses one, embedded or real."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer

from common.messaging.kafka import KafkaLog
from common.messaging.publishing import partition_of
from common.messaging.records import Record
from common.settings import KafkaSettings
from local.broker import Broker
from local.kafka import Kafka
from support.broker import consumer_settings, producer_settings


@dataclass(slots=True)
class BrokerCluster:
    broker: Broker | Kafka
    partitions: int = 0

    async def create(self, topic: str, partitions: int) -> None:
        self.partitions = partitions
        if isinstance(self.broker, Kafka):
            await self.broker.create_topics({topic: partitions})
        else:
            await self.broker.create_topic(topic, partitions)

    async def send(self, topic: str, records: Sequence[Record]) -> None:
        async with AIOKafkaProducer(**producer_settings(self.broker)) as producer:
            for record in records:
                await producer.send(
                    topic,
                    record.body,
                    key=record.key.encode(),
                    partition=partition_of(record.key, self.partitions),
                    headers=[(name, value.encode()) for name, value in record.headers.items()],
                )
            await producer.flush()

    def open_log(self, group: str) -> KafkaLog:
        settings = KafkaSettings(bootstrap_servers=self.broker.bootstrap_servers)
        return KafkaLog(group, settings, **consumer_settings(self.broker))
