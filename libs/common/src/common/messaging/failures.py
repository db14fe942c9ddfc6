"""Which exceptions come from the infrastructure, and pass by, and which are bugs, and do not."""

from typing import Final

import asyncpg
from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from common.outages import System

# connection, operator intervention and insufficient resources; serialisation, deadlock, lock not available;
# a transaction the server ended because it idled
_CLASSES: Final = ("08", "53", "57P")
_STATES: Final = frozenset({"40001", "40P01", "55P03", "25P03"})


def is_infrastructure(error: BaseException) -> bool:
    """True: try the same again later. False: the same again would end the same way."""
    match error:
        case DBAPIError():
            state = str(getattr(error.orig, "sqlstate", None) or "")
            broken = error.connection_invalidated or isinstance(error, InterfaceError)
            return broken or state in _STATES or state.startswith(_CLASSES)
        case PoolTimeoutError() | OSError() | TimeoutError():
            return True
        case _:
            state = str(getattr(error, "sqlstate", None) or "")  # asyncpg's own, from a direct connection
            return state in _STATES or (bool(state) and state.startswith(_CLASSES))


def system_of(error: BaseException) -> System:
    """Which outside system failed, as far as the type of the exception says it."""
    match error:
        case DBAPIError() | PoolTimeoutError() | asyncpg.PostgresError() | asyncpg.InterfaceError():
            return "database"
        case asyncpg.InternalClientError():
            return "database"
        case KafkaError():
            return "kafka"
        case _:
            return "another-system"
