"""The rules of the claims service: no database, no network, no clock."""
