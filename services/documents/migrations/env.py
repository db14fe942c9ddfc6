"""Runs documents's migrations."""

from common.migrations import run
from documents.models import Base

run(Base.metadata)
