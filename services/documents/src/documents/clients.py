"""What documents asks other services when it draws something: identities from booking, money from claims."""

from typing import Final, TypeVar
from uuid import UUID

from httpx import Response
from pydantic import TypeAdapter, ValidationError

from common.outages import System
from common.web.service_client import ServiceAway, ServiceClient
from documents.domain.sources import CareAct, Identity, KnownInsured

_IDENTITY: Final = TypeAdapter(Identity)
_INSURED: Final = TypeAdapter(KnownInsured)
_CARE_ACT: Final = TypeAdapter(CareAct)

T = TypeVar("T")


class NotKnownYet(Exception):
    """The other service has no answer yet, or none that can be read; `code` says which.

    `system` is the service that gave no answer at all.
    """

    def __init__(self, code: str, *, system: System | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.system = system


async def identity(booking: ServiceClient, appointment_id: UUID, *, purpose: str) -> Identity:
    """Who was there. The purpose is written to the patient's access log. Raises NotKnownYet."""
    answer = await _ask(booking, f"/booking/v1/internal/appointments/{appointment_id}/identity", purpose)
    return _parsed(_IDENTITY, answer, "identity")


async def insured(claims: ServiceClient, appointment_id: UUID, *, purpose: str) -> KnownInsured:
    """The insured person's number and insurer. Raises NotKnownYet."""
    answer = await _ask(claims, f"/claims/v1/internal/appointments/{appointment_id}/insured", purpose)
    return _parsed(_INSURED, answer, "insured")


async def care_act(claims: ServiceClient, appointment_id: UUID) -> CareAct:
    """The final price with its lines. Raises NotKnownYet."""
    answer = await _ask(claims, f"/claims/v1/appointments/{appointment_id}/care-act", None)
    return _parsed(_CARE_ACT, answer, "care-act")


async def _ask(service: ServiceClient, path: str, purpose: str | None) -> Response:
    try:
        return await service.get(path, params=None if purpose is None else {"purpose": purpose})
    except ServiceAway:
        system: System = "booking" if path.startswith("/booking/") else "claims"
        raise NotKnownYet("service-away", system=system) from None


def _parsed(adapter: TypeAdapter[T], answer: Response, what: str) -> T:
    if not answer.is_success:
        raise NotKnownYet(f"{what}-{answer.status_code}")
    try:
        return adapter.validate_json(answer.content)
    except ValidationError as problem:
        # Field names only: the values are about a patient.
        fields = sorted({str(error["loc"][-1]) for error in problem.errors(include_input=False)})
        raise NotKnownYet(f"{what}-unreadable:{','.join(fields)}"[:200]) from None
