"""The only writers of account teams: who looks after a customer together with its owner."""

from __future__ import annotations

from crm_graph.domains.customers.customers.events import AccountTeamMemberAdded, AccountTeamMemberRemoved
from crm_graph.domains.customers.customers.model import AccountTeamMember, Customer
from crm_graph.domains.customers.customers.policy import ACCOUNT_TEAM_MEMBER, CUSTOMER
from crm_graph.domains.workspace.members.model import Member
from crm_graph.domains.workspace.members.policy import MEMBER
from crm_graph.work import UPDATE, Work


async def add_account_team_member(work: Work, customer_id: str, member_id: str, duty: str | None) -> str:
    """Add a member to a customer's account team. Raises Refused TAKEN for one who is in it."""
    given = ("member",) if duty is None else ("member", "duty")
    work.may(ACCOUNT_TEAM_MEMBER, UPDATE, given)
    await work.get(Customer, CUSTOMER, customer_id, UPDATE, path="customerId")
    await work.refer(Member, MEMBER, member_id, "memberId")
    entry: AccountTeamMember = AccountTeamMember.make(customer_id=customer_id, member_id=member_id, duty=duty)
    await work.create(entry, ACCOUNT_TEAM_MEMBER, AccountTeamMemberAdded(customer_id, member_id), given)
    return entry.id


async def remove_account_team_member(work: Work, id_: str, if_version: int | None) -> None:
    """Take a member off a customer's account team."""
    entry = await work.get(AccountTeamMember, ACCOUNT_TEAM_MEMBER, id_, UPDATE, if_version)
    await work.delete(entry, ACCOUNT_TEAM_MEMBER, AccountTeamMemberRemoved(entry.customer_id, entry.member_id))
