"""The permission compiler: unions of roles, field levels, masks, parts."""

from __future__ import annotations

import re

from sqlalchemy import ClauseElement, Column, MetaData, Table, Text, select
from sqlalchemy.dialects import postgresql

from crm_graph.permissions.access import compile_access
from crm_graph.permissions.grants import ALL, HIDDEN, MASKED, OWN, TEAM, FieldGrant, Grant, Level, Role, grant
from crm_graph.permissions.policy import UUID, Policy, mask_text, owned_by

METADATA = MetaData()
DEALS = Table(
    "deal",
    METADATA,
    *(Column(name, UUID) for name in ("workspace_id", "id", "owner_id")),
    *(Column(name, Text) for name in ("name", "queue")),
)
LINES = Table("line", METADATA, *(Column(name, UUID) for name in ("workspace_id", "id", "deal_id")))
QUEUE = "QUEUE"
DEAL = Policy(
    "Deal",
    DEALS,
    {**owned_by("owner_id"), QUEUE: lambda deal: deal.c.queue == "mine"},
    {"name": mask_text},
    following=("move",),
    by_name=("approve",),
)
LINE = Policy("Line", LINES, parent=(DEAL, "deal_id"), in_version=False)


def rows(*grants: Grant, of: str = "Deal", verb: str = "read") -> str:
    """Return the row predicate as SQL; `everything` for none."""
    access = compile_access([Role("role", {"Deal": each}) for each in grants], [DEAL, LINE]).of(of)
    predicate = access.rows(access.policy.table, verb)
    if predicate is None:
        return "everything"
    return _sql(select(1).select_from(access.policy.table).where(predicate)).partition(" WHERE ")[2]


def column(*grants: Grant, masks: bool = True) -> str:
    """Return the expression of `name` as SQL; `hidden` for none."""
    access = compile_access([Role("role", {"Deal": each}) for each in grants], [DEAL, LINE]).of("Deal")
    expression = access.column("name", DEALS, DEALS.c.name, masks=masks)
    return "hidden" if expression is None else _sql(expression)


def _sql(expression: ClauseElement) -> str:
    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    text = str(expression.compile(dialect=dialect))
    return re.sub(r"\s+", " ", re.sub(r"::\w+(\[\])?", "", text))


OWNED = "deal.owner_id = :viewer_id"
QUEUED = "deal.queue = :queue_1"
CIRCLE = "deal.owner_id = ANY (:viewer_circle)"


def test_row_scopes() -> None:
    assert rows(grant(read=ALL)) == "everything"
    assert rows(grant(read=OWN)) == OWNED
    assert rows(grant(read=TEAM)) == CIRCLE
    assert rows(grant()) == "false"
    assert rows() == "false"


def test_roles_add_up() -> None:
    assert rows(grant(read=OWN), grant(read=TEAM)) == CIRCLE, "what is one's own is in one's circle"
    assert rows(grant(read=OWN), grant(read=QUEUE)) == f"{OWNED} OR {QUEUED}"
    assert rows(grant(read=OWN), grant(read=ALL)) == "everything"
    assert rows(grant(read=OWN), grant()) == OWNED


def test_a_verb_has_several_scopes() -> None:
    assert rows(grant(read=(OWN, QUEUE))) == f"{OWNED} OR {QUEUED}"
    assert rows(grant(read=(OWN, TEAM, QUEUE))) == f"{QUEUED} OR {CIRCLE}", "OWN lies in TEAM"
    assert rows(grant(read=(OWN, ALL))) == "everything"
    assert rows(grant(read=("NONE",))) == "false"
    given = grant(read=ALL, update=(OWN, QUEUE), create=QUEUE)
    assert rows(given, verb="move") == f"{OWNED} OR {QUEUED}", "a transition that is not named follows update"
    assert rows(given, verb="create") == QUEUED
    of_line = rows(grant(read=(OWN, QUEUE)), of="Line")
    assert "(deal_1.owner_id = :viewer_id OR deal_1.queue = :queue_1)" in of_line, "one look at the whole"


def test_fields_of_rows_of_several_scopes() -> None:
    several = (OWN, QUEUE)
    assert column(grant(read=several)) == "deal.name"
    both = (FieldGrant(Level.READ, OWN), FieldGrant(Level.READ, QUEUE))
    assert column(grant(read=several, fields={"name": both})) == "deal.name"
    in_team = column(grant(read=several, fields={"name": FieldGrant(Level.READ, TEAM)}))
    assert in_team == f"CASE WHEN ({OWNED} OR {QUEUED} AND {CIRCLE}) THEN deal.name END", "own rows are the team's"


def test_a_field_is_written_where_one_role_grants_both() -> None:
    access = compile_access([Role("role", {"Deal": grant(read=ALL, update=(OWN, QUEUE))})], [DEAL, LINE]).of("Deal")
    assert access.writable("name", "update", DEALS) is None
    given = grant(read=ALL, update=(TEAM, QUEUE), fields={"name": FieldGrant(Level.WRITE, OWN)})
    access = compile_access([Role("role", {"Deal": given})], [DEAL, LINE]).of("Deal")
    writable = access.writable("name", "update", DEALS)
    assert writable is not None
    assert _sql(writable) == OWNED, "own rows of the queue are own rows"


def test_verbs_have_scopes_of_their_own() -> None:
    given = grant(read=ALL, update=OWN, approve=TEAM)
    assert rows(given, verb="update") == OWNED
    assert rows(given, verb="approve") == CIRCLE
    assert rows(given, verb="move") == OWNED, "a transition that is not named follows update"
    assert rows(grant(read=ALL, update=ALL), verb="approve") == "false", "it does not follow update"
    assert rows(given, verb="delete") == "false"
    assert rows(given, verb="create") == "false"


def test_a_part_has_the_rows_of_its_whole() -> None:
    predicate = rows(grant(read=OWN), of="Line")
    assert "EXISTS (SELECT 1 FROM deal AS deal_1 WHERE deal_1.workspace_id = :workspace_id" in predicate
    assert "line.deal_id = deal_1.id AND deal_1.owner_id = :viewer_id" in predicate
    assert rows(grant(read=ALL), of="Line") == "everything"
    assert rows(grant(), of="Line") == "false"


def test_fields() -> None:
    assert column(grant(read=ALL)) == "deal.name"
    assert column(grant(read=ALL, fields={"name": HIDDEN})) == "hidden"
    assert column(grant(read=OWN, fields={"name": FieldGrant(Level.READ, OWN)})) == "deal.name"
    own_only = column(grant(read=ALL, fields={"name": FieldGrant(Level.READ, OWN)}))
    assert own_only == f"CASE WHEN ({OWNED}) THEN deal.name END"


def test_masks() -> None:
    masked = column(grant(read=ALL, fields={"name": MASKED}))
    assert masked.startswith("CASE WHEN (deal.name IS NOT NULL) THEN left(deal.name, ")
    assert column(grant(read=ALL, fields={"name": MASKED}), masks=False) == "hidden", "a mask cannot be compared"
    both = column(grant(read=ALL, fields={"name": (FieldGrant(Level.READ, OWN), MASKED)}))
    assert both.startswith(f"CASE WHEN ({OWNED}) THEN deal.name ELSE CASE WHEN (deal.name IS NOT NULL)")


def test_a_field_follows_the_role_that_grants_it() -> None:
    """One role reads every row without the name, another reads its own rows with it: the name shows on own rows
    only."""
    everything = grant(read=ALL, fields={"name": HIDDEN})
    own = grant(read=OWN)
    assert rows(everything, own) == "everything"
    assert column(everything, own) == f"CASE WHEN ({OWNED}) THEN deal.name END"


def test_fingerprints_tell_accesses_apart() -> None:
    def fingerprint(*grants: Grant) -> str:
        return compile_access([Role("any", {"Deal": each}) for each in grants], [DEAL, LINE]).fingerprint

    assert fingerprint(grant(read=ALL)) == fingerprint(grant(read=ALL))
    different = [
        fingerprint(),
        fingerprint(grant(read=ALL)),
        fingerprint(grant(read=OWN)),
        fingerprint(grant(read=(OWN, QUEUE))),
        fingerprint(grant(read=ALL, fields={"name": HIDDEN})),
        fingerprint(grant(read=ALL, fields={"name": MASKED})),
        fingerprint(grant(read=ALL, approve=OWN)),
        fingerprint(grant(read=ALL), grant(read=OWN)),
    ]
    assert len(set(different)) == len(different)
