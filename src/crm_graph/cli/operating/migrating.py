"""`crm-graph migrate`, and the first thing that `dev` does."""

from __future__ import annotations

from collections.abc import Mapping

from crm_graph.cli.opening import opened
from crm_graph.cli.place import Place
from crm_graph.db.revisions import HEAD, Revision, revisions, state
from crm_graph.events.epoch import has_epochs, require_own_log
from crm_graph.kernel.errors import OperatorError

BASE = "base"


async def migrate_place(place: Place, revision: str) -> tuple[str | None, str | None]:
    """Bring the database of a place to a revision; returns at which it was, and is. Raises OperatorError."""
    with place.database_url() as url:
        async with opened(Place(None, url), check=False):
            before = await state(url)
        if before.runs and not before.known and revision == HEAD:  # a later version has added to it
            return before.current, before.current
        if not before.known:
            raise OperatorError(
                f"the database is at revision {before.current}, which this version does not know",
                "run the version of crm-graph that made it, or a newer one",
            )
        await bring_to(url, revision)
        return before.current, (await state(url)).current


async def bring_to(url: str, revision: str = HEAD) -> None:
    """Bring a database to a revision, `base` for none. Alembic, and with it SQLAlchemy, is imported where there is
    something to do. Raises ForeignLog for a log that was restored and is not continued yet."""
    schema = await state(url)
    if revision == HEAD and schema.runs:
        return
    _, known = revisions()
    if revision not in {HEAD, BASE, *known}:
        raise OperatorError(
            f"there is no revision {revision}", f"name one of {', '.join(sorted(known)[-3:])}, or an older one"
        )
    if schema.current is not None and schema.known and await has_epochs(url):
        await require_own_log(url)  # what migrations write into the log is seen in a cluster of its own alone
    from crm_graph.db.migrate import downgrade, upgrade

    backwards = revision == BASE or (schema.current is not None and revision in _before(schema.current, known))
    await (downgrade(url, revision) if backwards else upgrade(url, revision))


def _before(revision: str, known: Mapping[str, Revision]) -> set[str]:
    """Return the revisions that lie before one."""
    earlier: set[str] = set()
    at = known[revision].follows
    while at is not None:
        earlier.add(at)
        at = known[at].follows
    return earlier
