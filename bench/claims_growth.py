"""Stored claims by the thousand: copies of those that really were priced, sent and paid."""

from collections.abc import Mapping
from typing import Any, Final

# Columns that name what many claims share; every other id gets a copy of its own.
_SHARED: Final = frozenset({"practitioner_id", "biller_id", "account_id", "created_by", "stated_by"})
_OWED: Final = 20  # every twentieth copy still waits for its money

_FUNCTIONS: Final = """
    CREATE FUNCTION copied(id uuid, copy int) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$ SELECT overlay(id::text PLACING lpad(to_hex(copy), 8, '0') FROM 25)::uuid $$
"""
_COLUMNS: Final = """
    SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute
    WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attidentity = ''
    ORDER BY attnum
"""
# In the order of their foreign keys.
_TABLES: Final[Mapping[str, str]] = {
    "stream": "",
    "coverage": "",
    "coverage_version": "",
    "data_key": "",
    '"grant"': "",
    "quote": "",
    "care_act": "",
    "leg": "",
    "batch": "",
    "submission": "",
    "invoice": "",
    "return_line": f"stored.kind = 'acknowledgement' OR copy % {_OWED} > 0",
    "posting": f"copy % {_OWED} > 0",
    "story_entry": f"copy % {_OWED} > 0 OR stored.state <> 'paid'",
    "history": "",
    "inbox": "",
    "outbox_archive": "",
    "task": "stored.kind IN ('send-leg', 'leg-deadline')",
}
_OTHERWISE: Final[Mapping[tuple[str, str], str]] = {
    ("leg", "state"): f"CASE WHEN copy % {_OWED} = 0 THEN 'acked' ELSE stored.state END",
    ("leg", "paid_cents"): f"CASE WHEN copy % {_OWED} = 0 THEN 0 ELSE stored.paid_cents END",
    ("leg", "invoice_no"): "lpad((stored.invoice_no::bigint + copy * 100000)::text, 9, '0')",
    ("inbox", "key"): "copied(stored.key::uuid, copy)::text",
    ("outbox_archive", "key"): "copied(stored.key::uuid, copy)::text",
    ("outbox_archive", "id"): "stored.id + copy::bigint * 10000000",
    ("task", "key"): "copied(left(stored.key, 36)::uuid, copy)::text || substr(stored.key, 37)",
    ("submission", "invoice_no"): "lpad((stored.invoice_no::bigint + copy * 100000)::text, 9, '0')",
    ("invoice", "invoice_no"): "lpad((stored.invoice_no::bigint + copy * 100000)::text, 9, '0')",
    ("return_line", "invoice_no"): "lpad((stored.invoice_no::bigint + copy * 100000)::text, 9, '0')",
}


async def multiply(connection: Any, times: int) -> None:
    """Every stored claim as often as this, with all that is stored of it."""
    await connection.execute("SET synchronous_commit = off")
    await connection.execute(_FUNCTIONS)
    async with connection.transaction():
        for table, condition in _TABLES.items():
            columns = await connection.fetch(_COLUMNS, table)
            values = [_value(table, column["name"], column["type"]) for column in columns]
            names = ", ".join(f'"{column["name"]}"' for column in columns)
            where = f"WHERE {condition}" if condition else ""
            # the rows of now, before the first copy: an INSERT does not read what it writes
            await connection.execute(
                f"INSERT INTO {table} ({names}) SELECT {', '.join(values)} "  # noqa: S608  our own tables
                f"FROM {table} AS stored CROSS JOIN generate_series(1, {times - 1}) AS copy {where}",
                timeout=300,
            )
    await connection.execute("RESET synchronous_commit")
    await connection.execute("VACUUM ANALYZE", timeout=300)


def _value(table: str, column: str, kind: str) -> str:
    otherwise = _OTHERWISE.get((table, column))
    if otherwise is not None:
        return otherwise
    if kind == "uuid" and column not in _SHARED:
        return f'copied(stored."{column}", copy)'
    return f'stored."{column}"'
