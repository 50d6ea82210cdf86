"""Members and clients as the command line sees them: by e-mail, role or name, to make tokens and lists."""

from __future__ import annotations

from dataclasses import dataclass

from crm_graph.cli.opening import find_workspace, opened
from crm_graph.cli.place import Place
from crm_graph.db.pool import Database
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.clients.directory import list_clients
from crm_graph.kernel.errors import OperatorError
from crm_graph.permissions.roles import BUILT_IN

_MEMBERS = Statement(
    """
    SELECT member.id, member.name, member.email, member.status,
           array(SELECT role FROM member_role
                 WHERE member_role.workspace_id = $1 AND member_id = member.id ORDER BY role) AS roles
    FROM member WHERE workspace_id = $1 ORDER BY id
    """,
    ("workspace_id",),
    {},
)
SHOWN_ACCOUNTS = 12


@dataclass(frozen=True, slots=True)
class Account:
    """A member with their roles."""

    member_id: str
    name: str
    email: str
    status: str
    roles: tuple[str, ...]


async def list_accounts(database: Database, workspace_id: str) -> list[Account]:
    """Return the members of a workspace, oldest first."""
    rows = await database.primary_reader().fetch(_MEMBERS, {"workspace_id": workspace_id})
    return [Account(row["id"], row["name"], row["email"], row["status"], tuple(row["roles"])) for row in rows]


async def accounts_of(place: Place, workspace: str | None) -> list[Account]:
    """Return the members of a workspace by its short name, oldest first. Raises OperatorError."""
    async with opened(place) as database:
        return await list_accounts(database, await find_workspace(database, workspace))


async def demo_accounts(database: Database, workspace_id: str) -> list[Account]:
    """Return one active account of each role, in the order of the roles, for the banner."""
    accounts = [account for account in await list_accounts(database, workspace_id) if account.status == "ACTIVE"]
    by_member: dict[str, Account] = {}
    for role in BUILT_IN:
        account = next((account for account in accounts if role in account.roles), None)
        if account is not None:
            by_member.setdefault(account.member_id, account)
    return list(by_member.values())[:SHOWN_ACCOUNTS]


async def find_account(database: Database, workspace_id: str, email: str | None, role: str | None) -> Account:
    """Return an active member by e-mail, or the first with a role. Raises OperatorError naming what there is."""
    accounts = [account for account in await list_accounts(database, workspace_id) if account.status == "ACTIVE"]
    if email is not None:
        chosen = next((account for account in accounts if account.email.lower() == email.lower()), None)
        if chosen is None:
            raise OperatorError(f"no active member has the e-mail {email}", "see who there is: `crm-graph user list`")
        return chosen
    chosen = next((account for account in accounts if role in account.roles), None)
    if chosen is None:
        fix = f"make one: `crm-graph user create --email {role}@example.com --role {role}`"
        if role not in BUILT_IN:
            fix = f"see who has which: `crm-graph user list`; built in are: {', '.join(BUILT_IN)}"
        raise OperatorError(f"no active member has the role {role}", fix)
    return chosen


async def find_client_id(database: Database, workspace_id: str, name: str) -> str:
    """Return the id of a client by its name. Raises OperatorError naming those there are."""
    clients = await list_clients(database.primary_reader(), workspace_id)
    if name not in clients:
        known = f"there are: {', '.join(clients)}" if clients else f"make it: `crm-graph client create {name}`"
        raise OperatorError(f"there is no API client {name!r}", known)
    return clients[name][0]
