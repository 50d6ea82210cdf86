"""`crm-graph token`: a session of a member that the operator starts."""

from __future__ import annotations

from datetime import timedelta

from crm_graph.cli.access.accounts import find_account, find_client_id
from crm_graph.cli.installed import services_of
from crm_graph.cli.opening import find_workspace, opened
from crm_graph.cli.place import Place
from crm_graph.domains.identity.accounts.sessions import start_operator_session


async def issue_token(
    place: Place, email: str | None, role: str | None, client: str | None, workspace: str | None, minutes: int | None
) -> str:
    """Return a bearer token of the member with an e-mail, or of the first with a role. Raises OperatorError."""
    async with opened(place) as database:
        workspace_id = await find_workspace(database, workspace)
        account = await find_account(database, workspace_id, email, role)
        client_id = None if client is None else await find_client_id(database, workspace_id, client)
        services = await services_of(database)
        lifetime = timedelta(minutes=minutes or services.settings.token_minutes)
        async with database.transaction() as session:
            session_id = await start_operator_session(
                services, session, workspace_id, account.member_id, lifetime, client_id
            )
    return services.authority.issue(workspace_id, account.member_id, lifetime, client_id, session_id=session_id)
