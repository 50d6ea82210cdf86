"""The apps that act for a member, in the schema: a member sees and takes back their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import strawberry

from crm_graph.domains.identity.accounts.journal import By
from crm_graph.domains.identity.authorizations import consents, events, model
from crm_graph.domains.identity.clients.graph import ApiClient
from crm_graph.domains.workspace.members.graph import Viewer
from crm_graph.graph.context import GraphContext, Info
from crm_graph.graph.payloads import Payload, key_of, perform
from crm_graph.graph.records.record import batch, extend, record_of
from crm_graph.graph.schema.build import Slice
from crm_graph.graph.writes import does
from crm_graph.kernel.errors import Forbidden, Refused
from crm_graph.kernel.ids import encode_id
from crm_graph.work import Work


@strawberry.type(description="An application that acts for the viewer, or that the viewer allowed to.")
class AuthorizedApp:
    """A plain object: who may not see API clients sees the name of those that act for them all the same."""

    client_id: strawberry.ID = strawberry.field(description="The id of the API client.")
    name: str = strawberry.field(description="What the app is called.")
    first_party: bool = strawberry.field(
        description="Whether the application is the workspace's own, which asks for no consent."
    )
    scopes: list[str] = strawberry.field(
        description="The OAuth scopes that the application has, or may have without asking again."
    )
    consented_at: datetime | None = strawberry.field(description="When the viewer agreed last; null if never asked.")
    last_used_at: datetime | None = strawberry.field(
        description="When a session of the application was last refreshed."
    )
    sessions: int = strawberry.field(description="How many sessions of the application are alive.")


async def _authorized_apps(viewers: Sequence[Any], _: Mapping[str, Any], context: GraphContext) -> list[Any]:
    own = context.viewer
    found = await consents.list_apps(context.services, context.reader, own.workspace_id, own.member_id)
    prefix = record_of(ApiClient).prefix
    apps = [
        AuthorizedApp(
            client_id=strawberry.ID(encode_id(prefix, each.client_id)),
            name=each.name,
            first_party=each.first_party,
            scopes=list(each.scopes),
            consented_at=_time(each.consented_at),
            last_used_at=_time(each.last_used_at),
            sessions=each.sessions,
        )
        for each in found
    ]
    return [apps for _ in viewers]


class ViewerFields:
    """Fields of Viewer."""

    authorized_apps: list[AuthorizedApp] = batch(
        _authorized_apps, description="The apps that the viewer let act for them, and those that do; by name."
    )


@strawberry.input(description="An app that is to act for the viewer no more.")
class RevokeAuthorizedAppInput:
    """See `consents.revoke_app`."""

    client_id: strawberry.ID = strawberry.field(description="The API client's id, as `authorizedApps` says it.")


@strawberry.type(description="The app that was revoked, or why not.")
class RevokeAuthorizedAppPayload(Payload):
    """Carries the client's id, since the viewer may not see the client."""

    @strawberry.field(description="The id of the API client; null when refused.")
    def client_id(self) -> strawberry.ID | None:
        return None if self.record_id is None else strawberry.ID(encode_id(record_of(ApiClient).prefix, self.record_id))


class Mutations:
    """Fields of Mutation."""

    @strawberry.mutation(
        description="Takes back what the viewer let an app do: its sessions end with their next request, and it has to"
        " ask again.",
        metadata=does(None),
    )
    async def revoke_authorized_app(self, info: Info, input: RevokeAuthorizedAppInput) -> RevokeAuthorizedAppPayload:
        async def revoke(work: Work) -> str:
            return await _revoke(info, work, key_of(ApiClient, input.client_id, "clientId"))

        return await perform(info, RevokeAuthorizedAppPayload, revoke)


async def _revoke(info: Info, work: Work, client_id: str) -> str:
    own = work.viewer
    if own.read_only:
        raise Forbidden("This token has the scope `crm.read`: it may read, and change nothing.")
    by = By(own.member_id, work.origin, work.request_id, own.client_id)
    services = info.context.services
    ended = await consents.revoke_app(services, work.session, own.workspace_id, own.member_id, client_id, by)
    if ended is None:
        raise Refused(
            "NOT_FOUND", "No app of this id acts for you: `authorizedApps` lists those that do.", ("clientId",)
        )
    return client_id


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


SLICE = Slice(
    "authorizations",
    mutations=(Mutations,),
    extensions=(extend(Viewer, ViewerFields),),
    events=events.EVENTS,
)

__all__ = ["SLICE", "model"]
