"""Runs documents's migrations."""

from documents.models import Base

from common.migrations import run

run(Base.metadata)
