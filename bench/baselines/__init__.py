"""The bare ways: what is left when rights, idempotency, retries and order are left out."""
