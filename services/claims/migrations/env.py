"""Runs claims's migrations."""

from claims.models import Base
from common.migrations import run
from common.web import tables as web

run([Base.metadata, web.Base.metadata])
