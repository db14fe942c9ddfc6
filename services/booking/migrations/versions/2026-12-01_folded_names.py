"""names of practitioners are found however their letters are written"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op
from anyascii import anyascii

revision = "booking_folded_names"
down_revision = "booking_one_visit_of_patient"
branch_labels = None
depends_on = None

_BATCH = 1000


def _folded(text: str) -> str:
    plain = anyascii(text).casefold()
    return " ".join("".join(each if each.isalnum() else " " for each in plain).split())


def upgrade() -> None:
    connection = op.get_bind()
    after = 0
    while True:
        rows = connection.execute(
            sa.text(
                "SELECT no, display_name, first_name, last_name, city FROM practitioner"
                " WHERE no > :after ORDER BY no LIMIT :limit"
            ),
            {"after": after, "limit": _BATCH},
        ).all()
        if not rows:
            break
        connection.execute(
            sa.text(
                "UPDATE practitioner SET sort_name = :sort_name, words = to_tsvector('simple', :words)"
                " WHERE no = :no"
            ),
            [
                {
                    "no": row.no,
                    "sort_name": _folded(f"{row.last_name} {row.first_name}"),
                    "words": _folded(f"{row.display_name} {row.first_name} {row.last_name} {row.city}"),
                }
                for row in rows
            ],
        )
        after = rows[-1].no


def downgrade() -> None:
    """The names stay: the release before finds those without special letters as it did."""
