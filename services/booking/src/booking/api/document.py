"""What the OpenAPI document says of this API besides its routes."""

from typing import Final, get_args

from common.events.booking import AbandonReason, CancelReason, NotBilledReason
from common.web.openapi import About, problems_of
from common.web.openapi_enums import Coded
from common.web.shared_enums import SHARED, facts

ABOUT: Final = About(
    description=(
        "Practitioners, agendas and free times, patients and consents, appointments from the request to "
        "the end of the consultation."
    ),
    tags={
        "access log": "Who read what about a patient",
        "agendas": "Weekly rules of practitioners, and the free times that follow from them",
        "appointments": "Booking, moving and cancelling; the steps of the consultation",
        "internal": "Between services: needs the role service",
        "patients": "The account's own profile, relatives, consents",
        "practitioners": "Who can be booked, and on what terms",
    },
    names={
        "AccessPage": "AccessLogPage",
        "AccessRead": "AccessLogEntryRead",
        "ActIn": "ActCreate",
        "ActionRead": "AppointmentActionRead",
        "AddressIn": "AddressWrite",
        "AppointmentIdentity": "AppointmentIdentityRead",
        "ExceptionIn": "AgendaExceptionWrite",
        "ExceptionKind": "AgendaExceptionKind",
        "ExceptionRead": "AgendaExceptionRead",
        "FactRead": "AppointmentFactRead",
        "Mode": "ConsultationMode",
        "MoveCreate": "AppointmentMoveCreate",
        "NextOffer": "NextOfferRead",
        "Party": "CancellingParty",
        "PatientIdentity": "PatientIdentityRead",
        "PractitionerFound": "PractitionerFoundRead",
        "PractitionerIdentity": "PractitionerIdentityRead",
        "Relation": "PatientRelation",
        "RightsAnswer": "RightsDecisionRead",
        "RuleIn": "AgendaRuleWrite",
        "RuleRead": "AgendaRuleRead",
        "Sex": "PatientSex",
        "Status": "AppointmentStatus",
    },
    enums={
        **SHARED,
        "ConsentChannel": ("app", "web", "phone", "in-person"),
        "PaymentActionKind": ("three-d-secure", "card-missing", "price-above-preview"),
        "PractitionerTitle": ("Docteur", ""),
    },
    coded={
        "AppointmentFactType": Coded(facts(), ["AppointmentFactRead.fact"]),
        "AppointmentEndReason": Coded(
            [*get_args(AbandonReason), *get_args(CancelReason), *get_args(NotBilledReason)],
            ["AppointmentRead.end_reason"],
        ),
    },
    problems=problems_of("booking.api"),
)
