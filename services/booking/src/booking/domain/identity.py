"""Who a patient is. It exists in the clear only between the vault and the person who may read it."""

import json
import unicodedata
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from typing import Self

from common.folding import folded


class Sex(StrEnum):
    FEMALE = "female"
    MALE = "male"


class Relation(StrEnum):
    SELF = "self"
    CHILD = "child"
    SPOUSE = "spouse"
    PARENT = "parent"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    street: str
    postal_code: str
    city: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    first_names: str
    birth_name: str
    used_name: str | None
    birth_date: date
    sex: Sex
    address: Address | None
    phone: str | None
    email: str | None

    def to_json_text(self) -> str:
        """Everything but the date of birth, which is encrypted apart."""
        content = asdict(self)
        del content["birth_date"]
        return json.dumps(content, ensure_ascii=False)

    @classmethod
    def of(cls, to_json_text: str, *, birth_date: date) -> Self:
        content = json.loads(to_json_text)
        address = content.pop("address")
        content["sex"] = Sex(content["sex"])
        return cls(**content, birth_date=birth_date, address=Address(**address) if address else None)

    def search_form(self) -> str:
        """The same for everybody who writes the same name with other capitals, accents or spaces."""
        return f"{folded(self.birth_name)}|{folded(self.first_names)}|{self.birth_date.isoformat()}"

    def former_search_form(self) -> str:
        """As it was made while ligatures and crossed letters stayed as they are.

        What is kept of it is a keyed hash, which nobody can make anew without opening the identity.
        """
        return f"{_unaccented(self.birth_name)}|{_unaccented(self.first_names)}|{self.birth_date.isoformat()}"


def _unaccented(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(each if each.isalnum() else " " for each in plain if not unicodedata.combining(each))
    return " ".join(kept.split())
