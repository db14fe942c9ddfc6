"""`python -m claims api|worker|migrate|keys|topics|dead-letters|replay|tasks|housekeeping`."""

import sys
from pathlib import Path
from typing import Final

from claims import worker
from claims.api.app import create_app
from claims.settings import Settings
from common.process import Service, main

SERVICE: Final = Service(
    name="claims",
    settings=Settings,
    create_app=create_app,
    run_worker=worker.run,
    routes=worker.routes_for,
    house=worker.house_of,
    migrations=Path(__file__).parents[2] / "migrations",
)

if __name__ == "__main__":
    sys.exit(main(SERVICE, sys.argv[1:]))
