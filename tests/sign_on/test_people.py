"""People who are not who they say, and what those who are become."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sign_on.flow import NOT_ADMITTED, answered, refused
from tests.support.issuers import Liar, liar
from tests.support.sign_on import Desk

THIEVES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an address that is not verified": ({"email_verified": False}, {}),
    "an address that is verified in words": ({"email_verified": "true"}, {}),
    "no word on whether it is": ({"email_verified": None}, {}),
    "no address": ({"email": None}, {}),
    "two addresses": ({"email": ["{admin}", "{admin}"]}, {}),
    "a domain that it is not trusted with": ({}, {"emailDomains": ["other.example"]}),
    "no domain that it is trusted with": ({}, {"emailDomains": []}),
    "a K of Kelvin": ({"email": "{admin:kelvin}"}, {}),
    "letters of another alphabet": ({"email": "{admin:cyrillic}"}, {}),
    "full-width letters": ({"email": "{admin:wide}"}, {}),
    "a space behind": ({"email": "{admin} "}, {}),
    "a zero in it": ({"email": "{admin}\0"}, {}),
    "a comment in it": ({"email": "(x){admin}"}, {}),
    "two signs at": ({"email": "x@evil.example@{admin}"}, {}),
}


def disguised(text: Any, admin: str) -> Any:
    """Return an address that looks like the administrator's, or folds to it."""
    if not isinstance(text, str):
        return text
    looks = {
        "{admin:kelvin}": f"{admin[:-1]}\u212a",
        "{admin:cyrillic}": admin.replace("a", "\u0430"),
        "{admin:wide}": "".join(chr(ord(each) + 0xFEE0) if each.isalpha() else each for each in admin),
    }
    return looks.get(text, text.replace("{admin}", admin))


@pytest.mark.parametrize(("claims", "values"), THIEVES.values(), ids=THIEVES.keys())
async def test_nobody_takes_a_member_s_place(
    at: Desk, issuer: Liar, claims: dict[str, Any], values: dict[str, Any]
) -> None:
    admin = await at.email("admin")
    trusted = {"allowSignUp": True, "emailDomains": [admin.partition("@")[2]], **values}
    await at.provider(issuer.address, **trusted)
    changed = {"email": admin, **{name: disguised(value, admin) for name, value in claims.items()}}
    await refused(at, issuer, NOT_ADMITTED, claims=changed)


async def test_an_address_links_once(at: Desk, issuer: Liar) -> None:
    """In any case of letters; and whoever gets the address at the provider later is not the member."""
    email = await at.email("sales_rep")
    provider_id = await at.provider(issuer.address, emailDomains=[email.partition("@")[2]])
    response = await answered(at, issuer, provider_id, claims={"email": email.upper(), "sub": "first"})
    assert response.status_code == 302, response.text
    assert await at.graph.rows("SELECT subject, member_id FROM member_identity") == [
        ("first", await at.member("sales_rep"))
    ]
    await refused(at, issuer, NOT_ADMITTED, claims={"email": email, "sub": "second"})
    async with liar() as second:
        other_id = await at.provider(second.address, name="Second", allowSignUp=True)
        await refused(at, second, NOT_ADMITTED, provider_id=other_id, claims={"email": email, "sub": "first"})


async def test_who_is_suspended_stays_out(at: Desk, issuer: Liar) -> None:
    email, member_id = await at.email("sales_rep"), await at.member("sales_rep")
    provider_id = await at.provider(issuer.address, emailDomains=[email.partition("@")[2]], allowSignUp=True)
    claims = {"email": email}
    suspend = "mutation ($id: ID!) { suspendMember(input: {id: $id}) { errors { code } } }"
    await at.graph.data(suspend, {"id": f"mem_{member_id}"})
    await refused(at, issuer, NOT_ADMITTED, claims=claims)
    await at.link(provider_id, "s", f"mem_{member_id}")
    await refused(at, issuer, NOT_ADMITTED, claims=claims)


async def test_only_who_a_rule_names_becomes_a_member(at: Desk, issuer: Liar) -> None:
    rule = {"claim": "realm.groups", "operator": "MATCHES", "value": "crm-*", "roles": ["analyst"], "team": "East"}
    team = await at.graph.value(
        "SELECT name FROM team WHERE workspace_id = (SELECT id FROM workspace WHERE slug = 'demo')"
    )
    provider_id = await at.provider(issuer.address, rules=[{**rule, "team": team}])
    for groups in ([], ["other"], ["x-crm-"], "crm", {"crm-": 1}, None):
        await refused(at, issuer, NOT_ADMITTED, claims={"realm": {"groups": groups}})
    await refused(at, issuer, NOT_ADMITTED, claims={"realm": "crm-x"})
    assert (await answered(at, issuer, provider_id, claims={"realm": {"groups": ["a", "crm-x"]}})).status_code == 302
    found = await at.graph.rows(
        "SELECT team.name, role FROM member JOIN team ON team.id = team_id JOIN member_role ON member_id = member.id"
        " WHERE email = 'ada@new.example'"
    )
    assert found == [(team, "analyst")]


async def test_what_everybody_s_claims_must_be(at: Desk, issuer: Liar) -> None:
    required = [{"claim": "tid", "operator": "EQUALS", "value": "7"}]
    provider_id = await at.provider(issuer.address, allowSignUp=True, required=required)
    for tenant in (None, "8", ["7"], True):
        await refused(at, issuer, NOT_ADMITTED, claims={"tid": tenant})
    assert (await answered(at, issuer, provider_id, claims={"tid": 7})).status_code == 302
    await refused(at, issuer, NOT_ADMITTED, claims={"tid": "8"})


async def test_the_last_administrator_stays_one(at: Desk, issuer: Liar) -> None:
    provider_id = await at.provider(issuer.address, allowSignUp=True, syncRoles=True, defaultRoles=["analyst"])
    admin = await at.member("admin")
    await at.link(provider_id, "s", f"mem_{admin}")
    others = "DELETE FROM member_role WHERE role = 'admin' AND member_id <> $1"
    await at.graph.database.one.connection.execute(others, admin)
    assert (await answered(at, issuer, provider_id)).status_code == 302
    roles = await at.graph.rows("SELECT role FROM member_role WHERE member_id = $1 ORDER BY role", admin)
    assert roles == [("admin",), ("analyst",)]


async def test_a_name_is_what_can_be_seen(at: Desk, issuer: Liar) -> None:
    provider_id = await at.provider(issuer.address, allowSignUp=True)
    shown = {
        "a": ("Ada\u202e \u0000 Byron\n", "Ada Byron"),
        "b": ("\u200b\u2066", "b"),
        "c": ("x" * 5_000, "x" * 200),
        "d": ({"x": 1}, "d"),
        "e": ("张伟", "张伟"),
    }
    for subject, (name, wanted) in shown.items():
        claims = {"sub": subject, "name": name, "email": f"{subject}@new.example"}
        assert (await answered(at, issuer, provider_id, claims=claims)).status_code == 302
        email = f"{subject}@new.example"
        assert await at.graph.value("SELECT name FROM member WHERE email = $1", email) == wanted
