"""`python -m documents api|worker|migrate|keys|topics|dead-letters|replay|tasks|housekeeping`."""

import logging
import sys
from pathlib import Path
from typing import Final

from common.process import Service, main
from documents import worker
from documents.api.app import create_app
from documents.consumers import routes
from documents.settings import Settings

SERVICE: Final = Service(
    name="documents",
    settings=Settings,
    create_app=create_app,
    run_worker=worker.run,
    routes=lambda _: routes,
    house=worker.house_of,
    migrations=Path(__file__).parents[2] / "migrations",
)

if __name__ == "__main__":
    # What is wrong with a seal is our own answer to give; its library would log every refused file at length.
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    sys.exit(main(SERVICE, sys.argv[1:]))
