"""The journeys as data: who the patient is, what is known of their insurance, and how it ends."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

Ending = Literal["completed", "cancelled", "unsuitable", "refused"]
Amc = Literal["contracted", "not-contracted"]

# Test cards of the provider's simulator.
CARD: Final = "4242424242424242"
CARD_WITH_3D_SECURE: Final = "4000002760003184"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    number: str
    title: str
    sex: Literal["female", "male"]
    given_name: str
    family_name: str
    born_on: str
    nir: bool = False
    amc: Amc | None = None
    ald: bool = False
    practitioner: Literal["gp", "direct-gp", "psychologist"] = "gp"
    card: str = CARD
    accepts_challenge: bool = True
    nir_added_later: bool = False
    amc_rejects: bool = False
    ending: Ending = "completed"
    reason: str
    prescriptions: tuple[dict[str, Any], ...] = field(default=())


def _drugs(*lines: dict[str, Any]) -> dict[str, Any]:
    return {"folder": "drugs", "lines": list(lines)}


_PARACETAMOL: Final = {
    "type": "drug",
    "label": "Paracétamol 1 g, comprimé",
    "inn": "paracétamol",
    "dosage": "1 comprimé toutes les 6 heures si douleur, sans dépasser 3 par jour",
    "duration_days": 5,
    "packs": 2,
}
_METFORMIN: Final = {
    "type": "drug",
    "label": "Metformine 500 mg, comprimé pelliculé",
    "inn": "metformine",
    "dosage": "1 comprimé matin et soir au cours des repas",
    "duration_days": 30,
    "packs": 2,
    "renewals": 2,
    "related_to_ald": True,
}


def _free(folder: str, text: str, indication: str) -> dict[str, Any]:
    return {"folder": folder, "lines": [{"type": "free", "text": text, "indication": indication}]}


JOURNEYS: Final = (
    Journey(
        number="1",
        title="NIR and contracted AMC",
        sex="female",
        given_name="Camille",
        family_name="Lorrain",
        born_on="1985-06-15",
        nir=True,
        amc="contracted",
        reason="fever",
        prescriptions=(_drugs(_PARACETAMOL),),
    ),
    Journey(
        number="2",
        title="NIR, AMC not contracted",
        sex="male",
        given_name="Noé",
        family_name="Vasseur",
        born_on="1978-03-02",
        nir=True,
        amc="not-contracted",
        reason="general-question",
        prescriptions=(
            _free(
                "biology",
                "Numération formule sanguine, ferritine, TSH",
                "à jeun",
            ),
        ),
    ),
    Journey(
        number="3",
        title="neither NIR nor AMC",
        sex="female",
        given_name="Inès",
        family_name="Carvalho",
        born_on="1999-11-21",
        reason="back-or-joint-pain",
        prescriptions=(
            _free(
                "imaging",
                "Radiographie du rachis lombaire, face et profil",
                "lombalgie depuis six semaines",
            ),
        ),
    ),
    Journey(
        number="4",
        title="psychologist",
        sex="male",
        given_name="Hugo",
        family_name="Delmas",
        born_on="1991-01-30",
        nir=True,
        amc="contracted",
        practitioner="psychologist",
        reason="psychological-support",
    ),
    Journey(
        number="5",
        title="ALD-related, NIR",
        sex="female",
        given_name="Jeanne",
        family_name="Picard",
        born_on="1958-09-08",
        nir=True,
        ald=True,
        reason="chronic-disease",
        prescriptions=(_drugs(_METFORMIN, _PARACETAMOL),),
    ),
    Journey(
        number="6",
        title="2, cancelled three hours before",
        sex="male",
        given_name="Adrien",
        family_name="Morel",
        born_on="1983-12-05",
        nir=True,
        amc="not-contracted",
        ending="cancelled",
        reason="cough-or-cold",
    ),
    Journey(
        number="7",
        title="3, reason declared unsuitable",
        sex="female",
        given_name="Lina",
        family_name="Benali",
        born_on="2001-04-17",
        ending="unsuitable",
        reason="headache",
    ),
    Journey(
        number="8a",
        title="2, 3-D Secure accepted",
        sex="male",
        given_name="Paul",
        family_name="Girardin",
        born_on="1969-07-25",
        nir=True,
        amc="not-contracted",
        card=CARD_WITH_3D_SECURE,
        reason="back-or-joint-pain",
        prescriptions=(
            _free("other", "Kinésithérapie du rachis, 10 séances", "au cabinet, deux séances par semaine"),
        ),
    ),
    Journey(
        number="8b",
        title="2, 3-D Secure refused: time free again",
        sex="female",
        given_name="Sarah",
        family_name="Okoye",
        born_on="1995-02-11",
        nir=True,
        amc="not-contracted",
        card=CARD_WITH_3D_SECURE,
        accepts_challenge=False,
        ending="refused",
        reason="fever",
    ),
    Journey(
        number="9",
        title="3, NIR added before the visit",
        sex="male",
        given_name="Thomas",
        family_name="Rey",
        born_on="1988-10-03",
        nir_added_later=True,
        reason="cough-or-cold",
        prescriptions=(_drugs(_PARACETAMOL),),
    ),
    Journey(
        number="10",
        title="1, AMC rejects its leg after the visit",
        sex="female",
        given_name="Élise",
        family_name="Fontaine",
        born_on="1976-08-19",
        nir=True,
        amc="contracted",
        amc_rejects=True,
        reason="skin-problem",
        prescriptions=(_drugs(_PARACETAMOL),),
    ),
    Journey(
        number="11",
        title="NIR, doctor without third-party payment",
        sex="male",
        given_name="Bastien",
        family_name="Lemoine",
        born_on="1981-05-27",
        nir=True,
        practitioner="direct-gp",
        reason="general-question",
        prescriptions=(_drugs(_PARACETAMOL),),
    ),
)


def nir_of(journey: Journey, run: int) -> str:
    """A made-up number with the right key; nobody has it: the order number changes with the run."""
    position = JOURNEYS.index(journey)
    sex = "1" if journey.sex == "male" else "2"
    year, month = journey.born_on[2:4], journey.born_on[5:7]
    body = f"{sex}{year}{month}75056{(run * len(JOURNEYS) + position) % 999 + 1:03d}"
    return f"{body}{97 - int(body) % 97:02d}"


def member_number_of(journey: Journey, run: int) -> str:
    return f"{run % 10_000:04d}{JOURNEYS.index(journey):04d}"
