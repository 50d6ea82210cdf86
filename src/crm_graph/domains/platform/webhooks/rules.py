"""What may be configured: addresses, names of events, roles."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any, Protocol

from crm_graph.db.statements import Statement
from crm_graph.domains.workspace.members.operations import known_roles
from crm_graph.identity.oidc.fetch import is_loopback, parse_url
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import IssuerFault, Refused
from crm_graph.permissions.rights import refuse_beyond
from crm_graph.permissions.roles import ADMIN
from crm_graph.work import Work

MAX_EVENT_TYPES = 200
MAX_ROLES = 50
DEFINITIONS = Statement(
    "SELECT workspace.time_zone,"
    " coalesce((SELECT directory_version FROM workspace_directory WHERE workspace_id = $1), 0) AS directory_version,"
    " ARRAY(SELECT ARRAY[role.name, role.grants::text] FROM role"
    " WHERE role.workspace_id = $1 AND role.name = ANY($2) ORDER BY role.name) AS definitions,"
    " (SELECT status = 'ACTIVE' AND (not_before IS NULL OR not_before < $4) FROM member"
    " WHERE workspace_id = $1 AND id = $3) AS active,"
    " ARRAY(SELECT role FROM member_role WHERE workspace_id = $1 AND member_id = $3) AS held,"
    " workspace.fiscal_year_start"
    " FROM workspace WHERE workspace_id = $1 AND id = $1",
    ("workspace_id", "roles", "member_id", "changed_at"),
    {},
)
"""What the roles of an endpoint grant now; whether who answers for it may come in, and was not suspended since they
changed it; and which roles they hold."""


class SelectionCheck(Protocol):
    """Who knows the schema, and so what may be configured: the edge."""

    @property
    def event_types(self) -> Collection[str]:
        """The names of the events that all slices declare."""
        ...

    def check_filter(self, viewer: Viewer, filter_: Any, /) -> None:
        """Check that a stored filter is one that a viewer may filter by. Raises Refused INVALID at what is wrong."""
        ...

    async def check(self, viewer: Viewer, selection: str, /) -> None:
        """Check that a selection is a valid query for a viewer. Raises Refused INVALID with what is wrong."""
        ...

    def cost(self, selection: str, /) -> int:
        """Return what executing a stored selection may cost: nothing, where it is not valid any more."""
        ...


def check_url(url: str) -> None:
    """Raise Refused for what nothing can be sent to."""
    try:
        parsed = parse_url(url, "`url`")
    except IssuerFault as fault:
        raise Refused("INVALID", f"{fault.message}.", ("url",)) from None
    if parsed.scheme == "http" and not is_loopback(parsed.host):
        raise Refused("INVALID", "`url` must be https, except on this very machine.", ("url",))


def check_event_types(names: Sequence[str], known: Collection[str]) -> None:
    """Raise Refused for names that no event has, with those that are near."""
    if not names:
        raise Refused("REQUIRED", "Name at least one event, as listed in schema/events.json.", ("eventTypes",))
    if len(names) > MAX_EVENT_TYPES:
        raise Refused("INVALID", f"`eventTypes` may have at most {MAX_EVENT_TYPES} names.", ("eventTypes",))
    for index, name in enumerate(names):
        if name not in known:
            near = get_close_matches(name[:100], sorted(known), 3, 0.5)
            hint = f" Near are {', '.join(f'`{each}`' for each in near)}." if near else ""
            raise Refused(
                "INVALID", f"There is no event of this name.{hint} See schema/events.json.", ("eventTypes", str(index))
            )


async def check_roles(work: Work, roles: Sequence[str]) -> None:
    """Raise Refused for no role or an unknown one, and FORBIDDEN for one that the viewer does not hold: an endpoint
    tells what its roles may read, so nobody makes one that may read more than they may."""
    if not roles:
        raise Refused("REQUIRED", "Name the roles whose permissions decide what is sent.", ("roles",))
    if len(roles) > MAX_ROLES:
        raise Refused("INVALID", f"`roles` may have at most {MAX_ROLES} names.", ("roles",))
    await known_roles(work, roles)
    refuse_beyond(work, roles)


def forsaken(roles: Sequence[str], member_id: str | None, row: Sequence[object]) -> str | None:
    """Return why an endpoint is told nothing more: nobody who may read so much answers for it. None while somebody
    does, or while nobody is known who made it. `row` is what `DEFINITIONS` found."""
    *_, active, held, _ = row
    if member_id is None:
        return None
    if not active:
        return "Who made it or changed it last was suspended. Whoever sets it to ACTIVE answers for it."
    assert isinstance(held, list)
    lacking = () if ADMIN in held else sorted(set(roles) - set(held))
    if not lacking:
        return None
    return (
        f"Who made it or changed it last does not hold these roles of it any more: {', '.join(lacking)}."
        " Whoever sets it to ACTIVE answers for it."
    )


def viewer_of(workspace_id: str, endpoint_id: str, roles: Sequence[str], row: Sequence[object]) -> Viewer:
    """Return as whom an endpoint reads: nobody but itself, with its roles, so that a role which grants rows of one's
    own or of one's team grants it none. `row` is what `DEFINITIONS` found."""
    time_zone, version, definitions, *_, fiscal_year_start = row
    assert isinstance(time_zone, str)
    assert isinstance(version, int)
    assert isinstance(definitions, list)
    assert isinstance(fiscal_year_start, int)
    return Viewer(
        workspace_id,
        endpoint_id,
        tuple(sorted(set(roles))),
        (endpoint_id,),
        time_zone,
        version,
        held_roles=tuple(sorted(set(roles))),
        definitions=tuple((name, grants) for name, grants in definitions),
        read_only=True,
        fiscal_year_start=fiscal_year_start,
    )
