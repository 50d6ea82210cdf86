"""The only writers of account teams: who looks after a customer together with its owner."""

from __future__ import annotations

from crm_graph.domains.customers.customers.events import AccountTeamMemberAdded, AccountTeamMemberRemoved
from crm_graph.domains.customers.customers.model import AccountTeamMember, Customer
from crm_graph.domains.customers.customers.policy import ACCOUNT_TEAM_MEMBER, CUSTOMER
from crm_graph.work import UPDATE, Sent, Work


async def add_account_team_member(work: Work, sent: Sent) -> str:
    """Add a member to a customer's account team. Raises Refused TAKEN for one who is in it."""
    work.may(ACCOUNT_TEAM_MEMBER, UPDATE, sent.fields)
    await work.get(Customer, CUSTOMER, sent.values["customer_id"], UPDATE, path="customerId", in_turn=False)
    entry = await work.draft(AccountTeamMember, ACCOUNT_TEAM_MEMBER, sent)
    event = AccountTeamMemberAdded(entry.customer_id, entry.member_id)
    await work.create(entry, ACCOUNT_TEAM_MEMBER, event, sent.fields)
    return entry.id


async def remove_account_team_member(work: Work, id_: str, if_version: int | None) -> None:
    """Take a member off a customer's account team."""
    entry = await work.get(AccountTeamMember, ACCOUNT_TEAM_MEMBER, id_, UPDATE, if_version)
    await work.delete(entry, ACCOUNT_TEAM_MEMBER, AccountTeamMemberRemoved(entry.customer_id, entry.member_id))
