"""Where an issuer puts what we want to know: claims by path, and an account id from any subject."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

_LONGEST_SUBJECT: Final = 255  # characters: OpenID Connect Core, section 2


def claim_at(claims: Mapping[str, Any], path: str) -> Any:
    """The value at `path`, whose dots lead into objects: `realm_access.roles`. None when nothing is there.

    A name may hold dots itself, like `https://roles.example/list`: it is tried before a path is.
    """
    if path in claims:
        return claims[path]
    for at, character in enumerate(path):
        inner = claims.get(path[:at]) if character == "." else None
        if isinstance(inner, Mapping) and (found := claim_at(inner, path[at + 1 :])) is not None:
            return found
    return None


def names_at(claims: Mapping[str, Any], path: str) -> list[str]:
    """A list of texts, or one text with spaces between names, as OAuth writes scopes; none without the claim.

    Raises ValueError when something else stands there.
    """
    found = claim_at(claims, path)
    if found is None:
        return []
    if isinstance(found, str):
        return found.split()
    if not isinstance(found, list):
        raise ValueError(f"{path} is no list of names")  # noqa: TRY004 - a bad value, not a bad call
    return [each for each in found if isinstance(each, str)]


def text_at(claims: Mapping[str, Any], path: str) -> str | None:
    """One text. A list of one text counts too: several issuers write each attribute of a person as a list."""
    found = claim_at(claims, path)
    if isinstance(found, list) and len(found) == 1:
        [found] = found
    return found if isinstance(found, str) and found else None


def account_id(issuer: str, subject: object) -> UUID:
    """The account of `subject`: the UUID that it is, or else a UUID of version 5 from issuer and subject.

    The second one is the same for ever: uuid5(uuid5(NAMESPACE_URL, issuer), subject). Raises ValueError for
    what is no subject: no text, an empty one, or one of more than 255 characters.
    """
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT:
        raise ValueError("a subject is a text of 1 to 255 characters")
    try:
        return UUID(subject)
    except ValueError:
        return uuid5(uuid5(NAMESPACE_URL, issuer), subject)
