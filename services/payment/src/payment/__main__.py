"""`python -m payment api|worker|migrate|keys|topics|dead-letters|replay|tasks|housekeeping`."""

import sys
from pathlib import Path
from typing import Final

from common.process import Service, main
from payment import worker
from payment.api.app import create_app
from payment.consumers import routes
from payment.settings import Settings

SERVICE: Final = Service(
    name="payment",
    settings=Settings,
    create_app=create_app,
    run_worker=worker.run,
    routes=lambda _: routes,
    house=worker.house_of,
    migrations=Path(__file__).parents[2] / "migrations",
)

if __name__ == "__main__":
    sys.exit(main(SERVICE, sys.argv[1:]))
