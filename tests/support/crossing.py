"""The statements that ask more than one shard, or write to every node, each with its reason. No request of a tenant is
among them but those by which a tenant is found."""

from __future__ import annotations

from collections.abc import Mapping

CROSSING: Mapping[str, str] = {
    "INSERT INTO workspace (": "a workspace is made: on every node, where members and records refer to it",
    "UPDATE workspace SET": "a workspace is renamed, or counts by another calendar: on every node, which is seldom",
    "SELECT workspace.workspace_id, workspace.id,": "the row of a workspace that is being made, asked for its rights",
    "SELECT member.workspace_id, member.id, workspace.slug,": "who signs in: the shards of the workspaces that have the"
    " address, which `member_address` names; mostly one",
    "SELECT member.workspace_id, member.id, member.name, member.email, workspace.name": "who asks for a new password:"
    " the same shards",
    "SELECT client.workspace_id, client.id, client.name": "an app that asks for a sign-in names no workspace",
    "SELECT provider.workspace_id, provider.id, name, issuer": "whoever comes from a provider, or with its token, names"
    " no workspace",
    "SELECT issuer FROM identity_provider": "whose tokens are taken at all: asked once a minute, and kept",
    "SELECT workspace_id, id, member_id FROM member_identity": "whose token it is: the shards of the workspaces that"
    " trust its issuer",
    "SELECT provider.id FROM identity_provider": "the same",
    "SELECT workspace_id, array_agg(id) AS ids FROM (SELECT workspace_id, id FROM job": "the worker's, once an hour:"
    " which jobs are over; they are removed a workspace at a time",
    **{
        f"SELECT DISTINCT workspace_id FROM {table} WHERE deleted_at": "the worker's, once an hour: whose recycle"
        " bins hold what is due; it is purged a workspace at a time"
        for table in ("customer", "contact", "opportunity", "sales_order", "product", "campaign", "ticket")
    },
    **{
        f"SELECT DISTINCT workspace_id FROM {table}": "the projector's, once: whose rows a history begins with; they"
        " are copied a workspace at a time"
        for table in ("customer", "opportunity", "sales_order", "ticket", "campaign")
    },
    **{
        f"{beginning} {table}": "the projector's, which goes through the log of all workspaces: versions are written"
        " behind it"
        for kept in ("customer", "opportunity", "sales_order", "campaign", "ticket")
        for beginning, table in (
            ("DELETE FROM", f"{kept}_version"),
            ("INSERT INTO", f"{kept}_version"),
            ("UPDATE", f"{kept}_version"),
            ("SELECT DISTINCT workspace_id FROM", kept),
        )
    },
    "SELECT DISTINCT workspace_id FROM audit_entry": "the operator's: `crm-graph audit verify`",
    "SELECT DISTINCT workspace_id FROM workspace_key": "the operator's: `crm-graph keys`",
    "INSERT INTO audit_entry (": "the chainer's, which goes through the log of all workspaces",
    "SELECT workspace_id, (count(*) *": "how much each workspace stores: every few minutes, by one process",
    "SELECT workspace_id, purpose, version, wrapped_by": "the operator's: `crm-graph keys status`",
    "SELECT DISTINCT ON (wrapped_by) wrapped_by": "the operator's: `crm-graph keys` and `doctor`",
    "SELECT contact.workspace_id, CAST(split_part(": "the operator's: `crm-graph keys`, of each encrypted column",
}
"""By the beginning of the text, each blank one space."""


def reason(text: str) -> str | None:
    """Return why a statement may; None for one that may not."""
    spaced = " ".join(text.split())
    return next((why for beginning, why in CROSSING.items() if spaced.startswith(beginning)), None)
