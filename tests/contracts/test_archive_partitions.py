"""The archive's partitions come and go with the days; no migration knows them."""

from datetime import timedelta

from alembic import command

from common.messaging import connections
from common.messaging.archive import Archive, prune
from support.records import NOW


async def test_partitions_made_by_the_relay_are_no_difference_to_the_models(server) -> None:
    async with server.template("booking") as name:
        dsn = server.url.set(database=name).render_as_string(hide_password=False)
        connection = await connections.connect(dsn, name="test")
        await Archive(connection, keep=timedelta(days=1)).move([], now=NOW)

        await server.alembic(command.check, "booking", name)

        gone = await prune(connection, before=NOW.date() + timedelta(days=9))
        await connections.close(connection)
        assert gone == ["outbox_archive_20300601", "outbox_archive_20300602"]
        await server.alembic(command.downgrade, "booking", name, "base")
