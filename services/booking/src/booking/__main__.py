"""`python -m booking api|worker|migrate|keys|topics|dead-letters|replay|tasks|housekeeping`."""

import sys
from pathlib import Path
from typing import Final

from booking import worker
from booking.api.app import create_app
from booking.consumers import routes
from booking.settings import Settings
from common.process import Service, main

SERVICE: Final = Service(
    name="booking",
    settings=Settings,
    create_app=create_app,
    run_worker=worker.run,
    routes=lambda _: routes,
    house=worker.house_of,
    migrations=Path(__file__).parents[2] / "migrations",
)

if __name__ == "__main__":
    sys.exit(main(SERVICE, sys.argv[1:]))
