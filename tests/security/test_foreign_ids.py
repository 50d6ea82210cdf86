"""Ids that are somebody else's, hidden, or nobody's: told apart by no answer, in no place that takes one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from crm_graph.graph.records.record import Record
from crm_graph.kernel.naming import words
from tests.permissions.tables.actions import WRITES, input_of, mutation, prepare
from tests.permissions.tables.table import Table, Write
from tests.permissions.world import ANCHORS, FOREIGN, World
from tests.security.positions import Position, positions
from tests.support.bodies import assert_reveals_nothing

OWN_ONLY: Mapping[str, Any] = {
    **{"read": "OWN", "create": "ALL", "update": "ALL", "delete": "ALL"},
    "default": "WRITE",
}
"""Rows of others are hidden, whatever may be done with rows."""
ROOTS = {"OpportunityLine": "Opportunity", "StageMove": "Opportunity", "OrderLine": "Order"} | {
    **{"OrderStatusChange": "Order", "CampaignMember": "Campaign", "TicketReply": "Ticket"},
    **{"AccountTeamMember": "Customer", "Stage": "Pipeline", "ApiKey": "ApiClient", "TrustedDocument": "ApiClient"},
    **{"MemberIdentity": "IdentityProvider"},
}
"""The type whose scopes the rows of a part have."""


ADMINISTERED = frozenset({"IdentityProvider", "MemberIdentity"})
"""Types that only administrators change, who see all rows."""


def referring(world: World) -> Iterator[tuple[Table, Write, Position, Record]]:
    """Yield every field of every mutation's input that takes the id of a record that must exist."""
    found = positions(world)
    for table, write in WRITES:
        for position in found:
            if not position.field.startswith(f"found: {write.name}(") or position.type.name != "ID":
                continue
            name = position.path[-1] if position.path else ""
            if name == "id" and not isinstance(write.input.get("id"), str) and _makes(write):
                continue  # the id that a new record shall have
            target = _target(world, table, name)
            if target is not None:
                yield table, write, position, target


def _makes(write: Write) -> bool:
    return write.name.startswith(("create", "add", "invite", "setExchangeRate"))


def _target(world: World, table: Table, name: str) -> Record | None:
    registry = world.graph.schema.registry
    if name == "id":
        return registry.records.get(table.type if table.record else "Member")
    edge = registry.records[table.type].edges.get(name.removesuffix("Id")) if table.record else None
    spelled = name[0].upper() + name[1:].removesuffix("Id")
    said = {"manager": "Member", "owner": "Member", "member": "Member", "parent": table.type}
    said |= {"client": "ApiClient", "provider": "IdentityProvider", "into": table.type, "withoutClient": "ApiClient"}
    named = said.get(name.removesuffix("Id"), spelled)
    return edge.target if edge is not None else registry.records.get(named)


def test_every_id_of_every_input_is_tried(world: World) -> None:
    """Those that refer to no record are the ids of new records, and of sessions."""
    tried = {position.coordinate for _, _, position, _ in referring(world)}
    inputs = {write.name for _, write in WRITES}
    left = {
        each.coordinate
        for each in positions(world)
        if each.type.name == "ID" and any(each.field.startswith(f"found: {name}(") for name in inputs)
    } - tried
    assert all(coordinate.endswith("Input.id") for coordinate in left), left
    assert len(tried) > 100


@pytest.mark.parametrize(("table", "write"), WRITES, ids=lambda each: getattr(each, "name", ""))
async def test_ids_in_inputs(world: World, table: Table, write: Write) -> None:
    """Another workspace's, a hidden one, and one that does not exist: refused byte by byte alike, nothing written."""
    await prepare(world, table, write)
    source = mutation(world, write)
    base = input_of(world, table, write, table.place)
    for _, _, position, target in (each for each in referring(world) if each[1] is write):
        hidden = await _hide(world, table, target)
        claims = await world.become("most", *(["admin"] if table.type in ADMINISTERED else []))
        hidden = None if table.type in ADMINISTERED else hidden
        before = await world.digest(), await world.digest(FOREIGN)
        ids = [world.id(target.name, FOREIGN), f"{target.prefix}_{'0' * 31}7", *([hidden] if hidden else [])]
        answers = []
        for id_ in ids:
            sent = {**base, **position.filled(id_)}
            if target.name == table.type and "id" in sent and position.path != ("id",) and not _makes(write):
                sent["id"] = world.id(table.type)  # the viewer's own: of this type no other row is seen
            if "roles" in sent:
                sent["roles"] = ["most"]  # nobody gives what they do not have
            body = await world.graph.execute(source, {"input": sent}, claims=claims)
            assert_reveals_nothing(body)
            answers.append(body)
        payload = answers[0]["data"] and answers[0]["data"][write.name]
        assert payload is not None, answers[0]
        assert [error["code"] for error in payload["errors"]] == ["NOT_FOUND"], (position.coordinate, payload)
        steps = tuple(step for step in payload["errors"][0]["field"] if not step.isdigit())
        assert steps == position.path, position.coordinate
        assert all(answer == answers[0] for answer in answers), (position.coordinate, answers)
        assert (await world.digest(), await world.digest(FOREIGN)) == before
        await world.graph.rows("DELETE FROM role WHERE name = 'most'")


async def _hide(world: World, table: Table, target: Record) -> str | None:
    """Define a role that may do everything, but does not see some row of a type; return that row's id, where the type
    has rows that can be hidden from whoever may change others."""
    root = ROOTS.get(target.name, target.name)
    own = ROOTS.get(table.type, table.type)
    if root in ANCHORS or root == "Member":
        by_name = world.graph.schema.registry.records[root].policy.by_name
        given = {**OWN_ONLY, **dict.fromkeys(by_name, "ALL")}
        await world.define("most", world.everything(**{root: given}))
        return world.id(target.name, "outside")
    if root != own:
        await world.define("most", world.everything(**{root: None}))
        return world.id(target.name, "outside")
    await world.define("most", world.everything())
    return None


CREATES = [(table, write) for table, write in WRITES if table.record and _makes(write)]


@pytest.mark.parametrize(("table", "write"), CREATES, ids=lambda each: getattr(each, "name", ""))
async def test_an_id_that_is_in_use(world: World, table: Table, write: Write) -> None:
    """A record is never made over another one: not over one that is seen, nor over a hidden one, which are refused
    alike; and what another workspace has is as if it were not there."""
    field = next((each for each in positions(world) if each.coordinate == _input(world, write, "id")), None)
    if field is None:
        pytest.skip("its records are given their ids")
    await prepare(world, table, write)
    source, target = mutation(world, write), world.graph.schema.registry.records[table.type]
    hidden = await _hide(world, table, target)
    claims = await world.become("most")
    base = {**input_of(world, table, write, table.place)} | ({"roles": ["most"]} if "roles" in write.input else {})
    taken = {"code": "TAKEN", "message": f"Another {words(table.type)} has this id already.", "field": ["id"]}
    for id_ in (world.id(table.type), *([hidden] if hidden else [])):
        before = await world.digest()
        payload = (await world.graph.data(source, {"input": {**base, "id": id_}}, claims=claims))[write.name]
        assert payload.pop("errors") == [taken]
        assert set(payload.values()) == {None}
        assert await world.digest() == before
    before = await world.digest(FOREIGN)
    sent = {**base, "id": world.id(table.type, FOREIGN)}
    payload = (await world.graph.data(source, {"input": sent}, claims=claims))[write.name]
    assert payload["errors"] == []
    assert await world.digest(FOREIGN) == before
    for other in ("", "x", "mem_1", f"{target.prefix}_{'G' * 32}", f"xyz_{'0' * 32}"):
        payload = (await world.graph.data(source, {"input": {**base, "id": other}}, claims=claims))[write.name]
        assert [(error["code"], error["field"]) for error in payload["errors"]] == [("INVALID", ["id"])], other


def _input(world: World, write: Write, name: str) -> str:
    core = world.graph.schema.core
    assert core.mutation_type is not None
    type_ = core.mutation_type.fields[write.name].args["input"].type
    return f"{str(type_).rstrip('!')}.{name}"


UNIQUE = {
    "createCustomer": ("Customer", "externalId", "external_id", {"name": "x"}),
    "createOpportunity": ("Opportunity", "externalId", "external_id", {"name": "x"}),
    "createOrder": ("Order", "number", "number", {}),
    "createCampaign": ("Campaign", "externalId", "external_id", {"name": "x", "channel": "EMAIL"}),
    "createTicket": ("Ticket", "externalId", "external_id", {"subject": "x"}),
}


@pytest.mark.parametrize("name", UNIQUE)
async def test_a_value_that_a_hidden_row_has(world: World, name: str) -> None:
    """That it is taken must be told; whose it is, or anything else of that row, is not, and it is told alike of a row
    that is seen."""
    type_name, field, column, given = UNIQUE[name]
    await world.define("most", world.everything(**{type_name: OWN_ONLY}))
    claims = await world.become("most")
    table, write = next(each for each in WRITES if each[1].name == name)
    answers = []
    for place in ("own", "outside"):
        base = input_of(world, table, write, table.place)
        sent = {**base, **given, field: world.row(type_name, place)[column]}
        body = await world.graph.execute(mutation(world, write), {"input": sent}, claims=claims)
        answers.append(body["data"][name])
        assert_reveals_nothing(body)
        assert not [each for each in world.secrets(type_name, place) if each in str(body)]
    assert answers[0] == answers[1]
    assert [error["code"] for error in answers[0]["errors"]] == ["TAKEN"]
    assert answers[0]["errors"][0]["field"] == [field]
    elsewhere = {**base, **given, field: world.row(type_name, FOREIGN)[column]}
    data = await world.graph.data(mutation(world, write), {"input": elsewhere}, claims=claims)
    assert data[name]["errors"] == [], "another workspace's values are not taken here"


IN_USE = "mutation ($id: ID!) { deleteCustomer(input: {id: $id}) { errors { code message field } } }"


async def test_what_uses_a_record_is_named_only_to_whom_it_is_shown(world: World) -> None:
    answers = {}
    for hidden in ((), ("Contact", "Opportunity", "Order", "Ticket", "Campaign")):
        await world.define("most", world.everything(**dict.fromkeys(hidden)))
        data = await world.graph.data(IN_USE, {"id": world.id("Customer")}, claims=await world.become("most"))
        (error,) = data["deleteCustomer"]["errors"]
        answers[bool(hidden)] = error["code"], error["message"]
        await world.graph.rows("DELETE FROM role WHERE name = 'most'")
    code, message = answers[False]
    assert code == "IN_USE"
    assert "other records" not in message
    assert answers[True] == ("IN_USE", "This customer is still used by other records.")


async def test_a_version_is_told_only_of_a_row_that_may_be_changed(world: World) -> None:
    """A conflict names the version, which comes with the record: whoever may not see or change it is told that."""
    source = (
        'mutation ($id: ID!) { updateOrder(input: {id: $id, ifVersion: 1, notes: "x"}) { errors { code message } } }'
    )
    claims = await world.become("sales_rep")
    told = {}
    for place in ("own", "team", "outside"):
        data = await world.graph.data(source, {"id": world.id("Order", place)}, claims=claims)
        told[place] = data["updateOrder"]["errors"][0]
    assert told["own"]["code"] == "CONFLICT"
    assert str(world.row("Order")["version"]) in told["own"]["message"]
    assert told["team"]["code"] == "FORBIDDEN"
    assert told["outside"]["code"] == "NOT_FOUND"
    assert not any(str(world.row("Order", place)["version"]) in told[place]["message"] for place in ("team", "outside"))


async def test_why_is_not_explained_of_what_is_not_seen(world: World) -> None:
    source = 'query ($id: ID!) { explainAccess(id: $id, field: "name") { visible summary rules { grant } } }'
    claims = await world.become("sales_rep")
    ids = world.id("Opportunity", "outside"), world.id("Opportunity", FOREIGN), f"opp_{'0' * 31}7"
    answers = [await world.graph.execute(source, {"id": id_}, claims=claims) for id_ in ids]
    assert answers[0] == answers[1] == answers[2] == {"data": {"explainAccess": None}}
