"""`crm-graph user invite`: the operator invites somebody, as the first administrator."""

from __future__ import annotations

from collections.abc import Sequence

from crm_graph.cli.access.accounts import find_account
from crm_graph.cli.acting import operator_work
from crm_graph.cli.installed import services_of
from crm_graph.cli.opening import find_workspace, opened
from crm_graph.cli.place import Place
from crm_graph.domains.identity.accounts.invitations import invite_member
from crm_graph.domains.identity.accounts.texts import Language
from crm_graph.domains.workspace.members.policy import MEMBER
from crm_graph.permissions.roles import ADMIN


async def invite_user(
    place: Place, email: str, name: str, roles: Sequence[str], language: str, workspace: str | None
) -> str | None:
    """Make a member and invite them in a language, `en` or `zh`. Returns the link where no mail is sent. Raises
    OperatorError and Refused."""
    async with opened(place) as database:
        services = await services_of(database)
        workspace_id = await find_workspace(database, workspace)
        actor = await find_account(database, workspace_id, None, ADMIN)
        async with operator_work(database, workspace_id, actor.member_id, MEMBER) as work:
            values = {"name": name, "email": email}
            _, link = await invite_member(work, services, values, roles, Language[language.upper()], ())
    return link
