"""`make servers`: brings the programs that tests/production runs on into var/cache."""

import asyncio
import sys

from local import kafka
from local.errors import LocalError
from support.production import keycloak, postgres_tls, s3


async def fetch() -> None:
    """Raises LocalError with the reason where one of them cannot be had."""
    postgres_tls.binaries()
    await kafka.fetch_jars()
    await asyncio.gather(keycloak.unpacked(), s3.program())


if __name__ == "__main__":
    try:
        asyncio.run(fetch())
    except LocalError as error:
        sys.exit(f"make servers: {error}")
