"""The feed's cursors: a position of the log and what the viewer could see when it was given out, sealed. Exports have
one too.

`changes` compares the two: whoever sees other rows or fields by now has records that no event brought or took, and is
told to read anew. Subscriptions take these cursors as well as their own, for whoever catches up before going live.
"""

from __future__ import annotations

import hashlib

import orjson

from crm_graph.graph.context import GraphContext
from crm_graph.graph.cursors import CursorSealer
from crm_graph.graph.records.scalars import Cursor
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.cursor import SCOPE_DIGITS, LogCursor, scope_in
from crm_graph.kernel.errors import BadUserInput
from crm_graph.permissions.access import Access


def scope_of(access: Access, viewer: Viewer, *, asks_who: bool = False) -> str:
    """Return what names the rows and fields that the viewer may see: their grants and, where these ask for it or a
    filter does, who they are, and their teams. The same for all who see the same."""
    asked = asks_who or access.asks_who
    who = [viewer.member_id, sorted(viewer.circle), sorted(viewer.teams)] if asked else []
    parts = [access.fingerprint, *who]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:SCOPE_DIGITS]


def seal_position(sealer: CursorSealer, viewer: Viewer, position: LogCursor, scope: str) -> Cursor:
    """Return the cursor of a position."""
    return Cursor(sealer.seal([position.xid, position.seq, scope], _list(viewer)))


def open_position(context: GraphContext, cursor: str) -> tuple[LogCursor, str]:
    """Return the position of a cursor and the scope that it was given out under. Raises BadUserInput."""
    try:
        xid, seq, scope = context.sealer.open(cursor, _list(context.viewer), "after")
    except BadUserInput:
        raise BadUserInput(
            "`after` is not a cursor that `changes` answered in this workspace.", path=("after",)
        ) from None
    return LogCursor(xid, seq), scope


def any_position(context: GraphContext, cursor: str) -> tuple[LogCursor, str]:
    """Return the position of a subscription's cursor or a feed's, and the scope that it was given out under, empty
    where it does not say. Raises BadUserInput."""
    position = LogCursor.decode(cursor)
    if position is not None:
        return position, scope_in(cursor)
    try:
        return open_position(context, cursor)
    except BadUserInput:
        raise BadUserInput("`after` is not a cursor of this event log.", path=("after",)) from None


def _list(viewer: Viewer) -> bytes:
    return b"changes of " + viewer.workspace_id.encode()
