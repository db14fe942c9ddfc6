"""Who calls. Imports nothing: schemathesis reads it too, in its own environment."""

from typing import Final

ROLES: Final = ("pharmacist", "service", "administrator", "support", "practitioner", "patient")
WITHOUT_ROLE: Final = ("nobody", "impostor")  # without a token, and with one that somebody else signed
