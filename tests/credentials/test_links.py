"""Invitations, streams and imports: what the walk through the register leaves to others."""

from __future__ import annotations

from datetime import timedelta

from crm_graph.domains.identity.accounts.directory import MemberDirectory
from crm_graph.domains.identity.accounts.enums import LinkPurpose
from crm_graph.domains.identity.accounts.links import make_link
from crm_graph.domains.identity.clients.keys import NEVER
from crm_graph.identity.tokens import Claims
from crm_graph.identity.viewer import Viewer
from tests.support.accounts import WHO, Accounts

ACCEPT = """mutation ($t: String!) {
    acceptInvitation(input: {token: $t, password: "a new and long one"}) { accessToken errors { code } } }"""
MOVE = "mutation ($id: ID!) { %s(input: {id: $id}) { errors { code message } } }"


async def _suspend_and_reactivate(accounts: Accounts, member_id: str) -> None:
    await accounts.give_password("admin@example.com")
    admin = (await accounts.sign_in("admin@example.com"))["accessToken"]
    for name in ("suspendMember", "reactivateMember"):
        payload = await accounts.data(MOVE % name, {"id": f"mem_{member_id}"}, token=admin)
        assert payload[name]["errors"] == []


async def test_an_invitation_dies_with_a_suspension(accounts: Accounts) -> None:
    workspace_id, member_id = await accounts.member("rep@example.com")
    tokens = []
    for _ in range(2):
        async with accounts.database.transaction() as session:
            url = await make_link(accounts.services, session, workspace_id, member_id, LinkPurpose.INVITATION)
        tokens.append(url.partition("#")[2])
    await _suspend_and_reactivate(accounts, member_id)
    for token in tokens:
        payload = (await accounts.data(ACCEPT, {"t": token}))["acceptInvitation"]
        assert payload == {"accessToken": None, "errors": [{"code": "INVALID"}]}


async def test_a_stream_is_not_confirmed_after_a_suspension(accounts: Accounts) -> None:
    """Every event asks, for all receivers at once, who is still what they were."""
    _, member_id = await accounts.give_password("rep@example.com")
    token = (await accounts.sign_in())["accessToken"]
    await accounts.data(WHO, token=token)
    directory, claims = MemberDirectory(), accounts.services.authority.check(token)
    reader = accounts.database.primary_reader()
    viewer = await directory.find(reader, claims)
    assert isinstance(viewer, Viewer)
    assert await directory.unchanged(reader, [viewer]) == [viewer]
    await _suspend_and_reactivate(accounts, member_id)
    assert await directory.find(reader, claims) is None
    assert await directory.unchanged(reader, [viewer]) == []


async def test_a_token_without_a_row_dies_with_a_suspension_for_good(accounts: Accounts) -> None:
    workspace_id, member_id = await accounts.member("rep@example.com")
    token = accounts.services.authority.issue(workspace_id, member_id, timedelta(hours=1))
    assert await accounts.data(WHO, token=token)
    accounts.clock.turn(seconds=1)
    await _suspend_and_reactivate(accounts, member_id)
    assert await accounts.code(WHO, token=token) == "UNAUTHENTICATED"
    job = Claims(workspace_id, member_id, NEVER, accounts.clock() - timedelta(seconds=1))
    assert await MemberDirectory().find(accounts.database.primary_reader(), job) is None, "nor what it had asked for"
    accounts.clock.turn(seconds=1)
    later = accounts.services.authority.issue(workspace_id, member_id, timedelta(hours=1))
    assert await accounts.data(WHO, token=later)
