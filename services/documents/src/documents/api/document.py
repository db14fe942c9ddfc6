"""What the OpenAPI document says of this API besides its routes."""

from typing import Final

from common.web.openapi import About, problems_of
from common.web.shared_enums import SHARED

ABOUT: Final = About(
    enums=SHARED,
    problems=problems_of("documents.api"),
    description=(
        "Prescriptions, reports and whatever is printed about a consultation: sealed PDF files that anybody "
        "who holds one can verify."
    ),
    tags={
        "access log": "Who read what about a patient",
        "documents": "What patients and practitioners read",
        "verification": "For whoever holds a paper or a file, and for pharmacies",
        "writing": "What practitioners write",
    },
    names={
        "AccessPage": "AccessLogPage",
        "AccessRead": "AccessLogEntryRead",
        "FileCheck": "VerificationCreate",
        "Folder": "DocumentFolder",
        "Kind": "DocumentKind",
        "Substitution": "SubstitutionRefusal",
        "VerificationAccess": "VerificationAccessRead",
    },
)
