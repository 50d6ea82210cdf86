"""What is done without changing anything, and is written down all the same."""

from __future__ import annotations

from crm_graph.events.effects import Mentions


class SensitiveFieldsRead(Mentions):
    """Fields were read whose grant asks for that to be written down: by a query, a mutation's payload, a subscription's
    event or an export. Written before the answer leaves."""

    fields: tuple[str, ...]
    """The coordinates, `Customer.phone`: those selected, and those filtered, ordered, grouped or measured by."""
    operation: str | None
    """The operation's name; None where it has none."""
    document: str | None
    """The SHA-256 of the document in hex digits; None for an export."""
    records: tuple[str, ...]
    """The ids of the records whose fields were read; the first ones where there are many."""
    record_count: int
    """How many records' fields were read one by one; an aggregate reads them unnamed, and counts none."""


class RecordsExported(Mentions):
    """Records were written to a file, or some of them when it was interrupted."""

    entity: str
    fields: tuple[str, ...]
    """The coordinates of the exported columns."""
    rows: int
    format: str
    file: str | None
    """The file's name without its directory; None for the standard output."""
    complete: bool


EVENTS = (SensitiveFieldsRead, RecordsExported)
