"""Runs claims's migrations."""

from common.migrations import run
from claims.models import Base

run(Base.metadata)
