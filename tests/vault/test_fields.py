"""Encrypted fields: who sees what through every door, what may be asked of them, and that they are stored as ciphertext
alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import pytest

from crm_graph.domains.customers.contacts.graph import Contact
from crm_graph.permissions.roles import BUILT_IN
from crm_graph.vault.master import MasterKeys
from crm_graph.vault.vault import Vault
from tests.support.graph import Graph

NUMBER = "11010519491231002X"
OTHER_NUMBER = "440308199901015432"
MASK, OTHER_MASK = "***002X", "***5432"
UPDATE = """mutation ($input: UpdateContactInput!) {
  updateContact(input: $input) { contact { id nationalId version } errors { code field message } } }"""
CREATE = """mutation ($input: CreateContactInput!) {
  createContact(input: $input) { contact { id nationalId } errors { code field message } } }"""
FIND = "query ($where: ContactFilter!) { contacts(first: 200, where: $where) { totalCount nodes { id nationalId } } }"


@dataclass(frozen=True)
class People:
    """Two contacts with numbers: one of the sales team's, one of a stranger's customer; and one without."""

    ours: str
    theirs: str
    nobody: str


@pytest.fixture
async def people(graph: Graph) -> People:
    """Contacts of a customer of the representative, who is in the manager's team, and of a stranger's."""
    rep, manager = await graph.claims("sales_rep"), await graph.claims("sales_manager")
    workspace = rep.workspace_id
    await graph.rows(
        "UPDATE member SET team_id = (SELECT team_id FROM member WHERE id = $1) WHERE id = $2",
        manager.member_id,
        rep.member_id,
    )
    await graph.rows("UPDATE workspace_directory SET directory_version = directory_version + 1")
    viewers = [
        await graph.engine.authenticator.viewer(each, graph.database.primary_reader()) for each in (rep, manager)
    ]
    outside = await graph.value(
        "SELECT id FROM member WHERE workspace_id = $1 AND id <> ALL($2) ORDER BY id LIMIT 1",
        workspace,
        [*viewers[0].circle, *viewers[1].circle],
    )
    assert rep.member_id in viewers[1].circle
    assert outside is not None
    rows = await graph.rows(
        "SELECT DISTINCT ON (customer_id) id, customer_id FROM contact WHERE workspace_id = $1"
        " ORDER BY customer_id, id LIMIT 2",
        workspace,
    )
    owners = [rep.member_id, outside]
    for row, owner in zip(rows, owners, strict=True):
        await graph.rows("UPDATE customer SET owner_id = $1 WHERE id = $2", owner, row["customer_id"])
    taken = [row["customer_id"] for row in rows]
    nobody = await graph.value(
        "SELECT id FROM contact WHERE workspace_id = $1 AND customer_id <> ALL($2) ORDER BY id LIMIT 1",
        workspace,
        taken,
    )
    people = People(f"con_{rows[0]['id']}", f"con_{rows[1]['id']}", f"con_{nobody}")
    await write(graph, people.ours, NUMBER)
    await write(graph, people.theirs, OTHER_NUMBER)
    return people


async def write(graph: Graph, id_: str, number: str | None, **options: Any) -> dict[str, Any]:
    """Set a contact's number and return the payload."""
    data = await graph.data(UPDATE, {"input": {"id": id_, "nationalId": number}}, **options)
    payload: dict[str, Any] = data["updateContact"]
    return payload


async def stored(graph: Graph, id_: str) -> tuple[str | None, str | None]:
    """Return the ciphertext and the blind index of a contact's number."""
    (row,) = await graph.rows("SELECT national_id, national_id_blind FROM contact WHERE id = $1", id_[4:])
    return row[0], row[1]


UNSEEN = "the contact does not exist for them"
SEES = {
    "admin": (NUMBER, OTHER_NUMBER),
    "sales_manager": (NUMBER, None),
    "sales_rep": (MASK, UNSEEN),
    "marketer": (None, None),
    "support_agent": (None, None),
    "service_manager": (None, None),
    "finance": (None, None),
    "analyst": (None, None),
    "integration": (None, None),
}
DOORS = {
    "by id": ("query ($id: ID!) { contact(id: $id) { nationalId } }", ("contact",)),
    "node": ("query ($id: ID!) { node(id: $id) { ... on Contact { nationalId } } }", ("node",)),
    "nodes": ("query ($id: ID!) { nodes(ids: [$id]) { id ... on Contact { nationalId } } }", ("nodes", 0)),
    "list": (
        "query ($id: ID!) { contacts(where: {id: {eq: $id}}) { edges { cursor node { nationalId name } } } }",
        ("contacts", "edges", 0, "node"),
    ),
    "ordered list": (
        "query ($id: ID!) { contacts(where: {id: {eq: $id}}, orderBy: [{field: CUSTOMER_NAME}])"
        " { totalCount nodes { customer { name } nationalId } } }",
        ("contacts", "nodes", 0),
    ),
    "nested list": (
        "query ($id: ID!) { contact(id: $id)"
        " { customer { contacts(where: {id: {eq: $id}}) { nodes { nationalId } } } } }",
        ("contact", "customer", "contacts", "nodes", 0),
    ),
    "joined": (
        "query ($id: ID!) { tickets(where: {contactId: {eq: $id}}) { nodes { contact { nationalId } } } }",
        ("tickets", "nodes", 0, "contact"),
    ),
    "beside itself": (
        "query ($id: ID!) { contact(id: $id) { id nationalId again: nationalId ...F } }"
        " fragment F on Contact { nationalId }",
        ("contact",),
    ),
}


def test_every_role_is_in_the_table() -> None:
    assert set(SEES) == set(BUILT_IN)


@pytest.mark.parametrize("executor", ["planned", "reference"])
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("role", BUILT_IN)
async def test_every_role_sees_what_it_may_through_every_door(
    graph: Graph, people: People, role: str, door: str, executor: str
) -> None:
    graph.use(executor)
    source, path = DOORS[door]
    if door == "joined":
        claims = await graph.claims(role)
        for id_ in (people.ours, people.theirs):
            ticket = await graph.value(
                "SELECT id FROM ticket WHERE workspace_id = $1 AND contact_id IS DISTINCT FROM $2 ORDER BY id LIMIT 1",
                claims.workspace_id,
                people.ours[4:],
            )
            update = "UPDATE ticket SET contact_id = $1, assignee_id = $2 WHERE id = $3"
            await graph.rows(update, id_[4:], claims.member_id, ticket)
    for id_, expected in zip((people.ours, people.theirs), SEES[role], strict=True):
        body = await graph.execute(source, {"id": id_}, role=role)
        assert "errors" not in body
        if expected == UNSEEN or (role, door) == ("finance", "joined"):  # finance sees no tickets
            assert NUMBER not in str(body)
            assert OTHER_NUMBER not in str(body)
            assert id_ not in str(body)
            continue
        found: Any = body["data"]
        for step in path:
            found = found[step]
        assert found["nationalId"] == expected
        assert found.get("again", expected) == expected
        whole = role == "admin"
        assert ("Contact.nationalId" in body.get("extensions", {}).get("withheld", [])) != whole
        assert NUMBER not in str(body) or expected == NUMBER
        assert "e1." not in str(body)


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_equality_is_answered_to_those_who_read_it_in_clear(graph: Graph, people: People, executor: str) -> None:
    graph.use(executor)

    async def found(role: str, **comparison: Any) -> set[str]:
        data = await graph.data(FIND, {"where": {"nationalId": comparison}}, role=role)
        assert data["contacts"]["totalCount"] == len(data["contacts"]["nodes"]), "all fit on the page"
        return {node["id"] for node in data["contacts"]["nodes"]}

    everybody = {node["id"] for node in (await graph.data(FIND, {"where": {}}))["contacts"]["nodes"]}
    assert await found("admin", eq=NUMBER) == {people.ours}
    assert await found("admin", eq=OTHER_NUMBER) == {people.theirs}
    assert await found("admin", **{"in": [NUMBER, OTHER_NUMBER, "nobody's"]}) == {people.ours, people.theirs}
    assert await found("admin", **{"in": []}) == set()
    assert await found("admin", eq="nobody's") == set()
    assert await found("admin", ne=NUMBER) == everybody - {people.ours}
    assert await found("admin", notIn=[NUMBER, OTHER_NUMBER]) == everybody - {people.ours, people.theirs}
    assert await found("admin", notIn=[]) == everybody
    assert await found("admin", isNull=False) == {people.ours, people.theirs}
    assert await found("admin", isNull=True) == everybody - {people.ours, people.theirs}
    assert await found("sales_manager", eq=NUMBER) == {people.ours}
    assert await found("sales_manager", eq=OTHER_NUMBER) == set(), "hidden on this row, so it compares as null"
    assert await found("sales_manager", ne=OTHER_NUMBER) == everybody
    assert await found("sales_manager", isNull=False) == {people.ours}


@pytest.mark.parametrize("role", ["sales_rep", "marketer", "support_agent", "analyst", "integration"])
@pytest.mark.parametrize("comparison", [{"eq": NUMBER}, {"in": [NUMBER]}, {"ne": NUMBER}, {"isNull": True}], ids=str)
async def test_a_mask_cannot_be_compared(graph: Graph, people: People, role: str, comparison: dict[str, Any]) -> None:
    assert people.ours
    graph.engine.services.vault.forget((await graph.claims("admin")).workspace_id)
    for source in (FIND, "query ($where: ContactFilter!) { contactsAggregate(where: $where) { groups { count } } }"):
        error = await graph.error(source, {"where": {"nationalId": comparison}}, role=role)
        assert error["extensions"]["code"] == "FORBIDDEN"
        assert error["message"] == "Your roles do not allow to filter by Contact.nationalId."
        assert graph.statements == 0


async def test_an_edge_in_a_filter_and_a_count_ask_the_index_too(graph: Graph, people: People) -> None:
    where = {"contacts": {"some": {"nationalId": {"eq": NUMBER}}}}
    source = "query ($where: CustomerFilter!) { customers(where: $where) { nodes { contacts { nodes { id } } } } }"
    (customer,) = (await graph.data(source, {"where": where}))["customers"]["nodes"]
    assert people.ours in {node["id"] for node in customer["contacts"]["nodes"]}
    count = "query ($where: ContactFilter!) { contactsAggregate(where: $where) { groups { count } } }"
    data = await graph.data(count, {"where": {"nationalId": {"in": [NUMBER, OTHER_NUMBER]}}})
    assert data["contactsAggregate"]["groups"] == [{"count": 2}]


@pytest.mark.parametrize(
    "spelled",
    ["110105 1949 1231 002X", "110105-19491231-002x", "１１０１０５１９４９１２３１００２Ｘ", " 11010519491231002x "],
)
async def test_spelling_does_not_count(graph: Graph, people: People, spelled: str) -> None:
    data = await graph.data(FIND, {"where": {"nationalId": {"eq": spelled}}})
    assert data["contacts"]["nodes"] == [{"id": people.ours, "nationalId": NUMBER}]


async def test_a_literal_is_looked_for_under_the_keys_of_whoever_asks(graph: Graph, people: People) -> None:
    """The document and its plan are shared by workspaces; what they look for is not."""
    source = f'{{ contacts(where: {{nationalId: {{eq: "{NUMBER}"}}}}) {{ nodes {{ id }} }} }}'
    assert (await graph.data(source, workspace="other"))["contacts"]["nodes"] == []
    assert (await graph.data(source))["contacts"]["nodes"] == [{"id": people.ours}]
    theirs = await graph.id_of(Contact, workspace="other")
    await write(graph, theirs, NUMBER, workspace="other")
    assert (await graph.data(source, workspace="other"))["contacts"]["nodes"] == [{"id": theirs}]
    assert (await graph.data(source))["contacts"]["nodes"] == [{"id": people.ours}]
    assert (await stored(graph, theirs))[1] != (await stored(graph, people.ours))[1]


async def test_a_cursor_of_one_search_is_none_of_another(graph: Graph, people: People) -> None:
    assert people.ours
    source = """query ($number: String!, $after: String) {
      contacts(first: 1, after: $after, where: {nationalId: {ne: $number}}) { pageInfo { endCursor } } }"""
    cursor = (await graph.data(source, {"number": NUMBER}))["contacts"]["pageInfo"]["endCursor"]
    await graph.data(source, {"number": NUMBER, "after": cursor})
    error = await graph.error(source, {"number": OTHER_NUMBER, "after": cursor})
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


def test_nothing_but_equality_is_offered(graph: Graph) -> None:
    types = graph.schema.core.type_map
    comparator = types["ContactFilter"].fields["nationalId"].type  # type: ignore[attr-defined]
    assert list(comparator.fields) == ["eq", "ne", "in", "notIn", "isNull"]
    for name, type_ in types.items():
        if re.match("(Contact|Ticket).*(OrderField|GroupField)$", name):
            assert not [value for value in type_.values if "NATIONAL" in value], name  # type: ignore[attr-defined]
        if re.match("Contact(Having|Group|Sums|Extremes)", name) and not name.endswith("GroupBy"):
            assert "nationalId" not in getattr(type_, "fields", {}), name


async def test_the_same_text_again_changes_nothing(graph: Graph, people: People) -> None:
    before = await stored(graph, people.ours)
    events = await graph.value("SELECT count(*) FROM event")
    version = (await graph.data("query ($id: ID!) { contact(id: $id) { version } }", {"id": people.ours}))["contact"]
    payload = await write(graph, people.ours, NUMBER)
    assert payload["errors"] == []
    assert payload["contact"]["version"] == version["version"]
    assert await stored(graph, people.ours) == before
    assert await graph.value("SELECT count(*) FROM event") == events


async def test_another_spelling_is_a_change_with_the_same_index(graph: Graph, people: People) -> None:
    before = await stored(graph, people.ours)
    payload = await write(graph, people.ours, NUMBER.lower())
    assert payload["contact"]["nationalId"] == NUMBER.lower()
    after = await stored(graph, people.ours)
    assert after[0] != before[0]
    assert after[1] == before[1]


async def test_null_clears_both_columns(graph: Graph, people: People) -> None:
    assert (await write(graph, people.ours, None))["contact"]["nationalId"] is None
    assert await stored(graph, people.ours) == (None, None)


async def test_what_is_left_out_stays(graph: Graph, people: People) -> None:
    before = await stored(graph, people.ours)
    data = await graph.data(UPDATE, {"input": {"id": people.ours, "title": "Head of Buying"}})
    assert data["updateContact"]["contact"]["nationalId"] == NUMBER
    assert await stored(graph, people.ours) == before


async def test_a_new_contact_has_it_encrypted(graph: Graph, people: People) -> None:
    customer = await graph.value("SELECT customer_id FROM contact WHERE id = $1", people.ours[4:])
    given = {"customerId": f"cus_{customer}", "name": "Kim", "nationalId": OTHER_NUMBER}
    data = await graph.data(CREATE, {"input": given})
    contact = data["createContact"]["contact"]
    assert contact["nationalId"] == OTHER_NUMBER
    sealed, blind = await stored(graph, contact["id"])
    assert sealed is not None
    assert re.match(r"e1\.1\.", sealed)
    assert blind == (await stored(graph, people.theirs))[1]
    assert sealed != (await stored(graph, people.theirs))[0]


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("1" * 101, "100 is the most"),
        ("11010\n5", "control characters"),
        ("11010\u20285", "control characters"),
        ("11010\u202e5", "control characters"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("mutation", [UPDATE, CREATE], ids=["update", "create"])
async def test_what_cannot_be_a_number_is_refused_at_its_path(
    graph: Graph, people: People, mutation: str, number: str, reason: str
) -> None:
    before = await stored(graph, people.ours)
    contacts, events = (
        await graph.value("SELECT count(*) FROM contact"),
        await graph.value("SELECT count(*) FROM event"),
    )
    customer = await graph.value("SELECT customer_id FROM contact WHERE id = $1", people.ours[4:])
    given = {"id": people.ours} if mutation == UPDATE else {"customerId": f"cus_{customer}", "name": "Kim"}
    data = await graph.data(mutation, {"input": {**given, "nationalId": number}})
    (payload,) = data.values()
    ((error),) = payload["errors"]
    assert payload["contact"] is None
    assert (error["code"], error["field"]) == ("INVALID", ["nationalId"])
    assert reason in error["message"]
    assert len(error["message"]) < 80, "the value is not quoted"
    assert await stored(graph, people.ours) == before
    assert await graph.value("SELECT count(*) FROM contact") == contacts
    assert await graph.value("SELECT count(*) FROM event") == events


@pytest.mark.parametrize("role", ["sales_rep", "marketer", "support_agent", "integration"])
async def test_who_may_not_write_it_writes_nothing(graph: Graph, people: People, role: str) -> None:
    before = await stored(graph, people.ours)
    error = await graph.error(UPDATE, {"input": {"id": people.ours, "nationalId": OTHER_NUMBER}}, role=role)
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert OTHER_NUMBER not in str(error)
    assert await stored(graph, people.ours) == before


async def test_a_manager_writes_it_for_the_own_team_only(graph: Graph, people: People) -> None:
    assert (await write(graph, people.ours, OTHER_NUMBER, role="sales_manager"))["contact"][
        "nationalId"
    ] == OTHER_NUMBER
    before = await stored(graph, people.theirs)
    payload = await write(graph, people.theirs, NUMBER, role="sales_manager")
    assert payload["contact"] is None
    assert [(error["code"], error["field"]) for error in payload["errors"]] == [("FORBIDDEN", ["id"])]
    assert await stored(graph, people.theirs) == before
    customer = await graph.value("SELECT customer_id FROM contact WHERE id = $1", people.theirs[4:])
    contacts = await graph.value("SELECT count(*) FROM contact")
    given = {"customerId": f"cus_{customer}", "name": "Kim", "nationalId": NUMBER}
    body = await graph.execute(CREATE, {"input": given}, role="sales_manager")
    assert "FORBIDDEN" in str(body)
    assert await graph.value("SELECT count(*) FROM contact") == contacts


async def test_the_log_holds_ciphertext(graph: Graph, people: People) -> None:
    await write(graph, people.ours, OTHER_NUMBER)
    data = await graph.data(
        "mutation ($id: ID!) { deleteContact(input: {id: $id}) { deletedId errors { code } } }", {"id": people.ours}
    )
    assert data["deleteContact"]["errors"] == []
    rows = await graph.rows("SELECT type, changes FROM event WHERE entity_id = $1 ORDER BY seq", people.ours[4:])
    assert [row["type"] for row in rows] == ["ContactUpdated", "ContactUpdated", "ContactDeleted"]
    for row in rows:
        old, new = row["changes"]["national_id"]
        assert all(value is None or value.startswith("e1.") for value in (old, new))
        assert NUMBER not in str(row["changes"])
        assert OTHER_NUMBER not in str(row["changes"])


async def test_no_table_holds_it_in_clear(graph: Graph, people: People) -> None:
    """Every column of every table as text, as a dump would have it: neither the numbers nor their digits alone."""
    await write(graph, people.nobody, "１１０１０５-1949-1231-002X")
    tables = [row[0] for row in await graph.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    assert {"contact", "event", "workspace_key"} < set(tables)
    sealed, _ = await stored(graph, people.ours)
    assert sealed is not None
    seen = False
    for table in tables:
        for row in await graph.rows(f'SELECT "{table}"::text AS line FROM "{table}"'):
            line = row["line"].replace("-", "").replace(" ", "")
            seen = seen or sealed.replace("-", "") in line
            for secret in (NUMBER, OTHER_NUMBER, "１１０１０５", "19491231002"):
                assert secret not in line, table
    assert seen, "the search looks where the ciphertext is"


async def test_the_database_takes_nothing_but_ciphertext(graph: Graph, people: People) -> None:
    for columns in (
        f"national_id = '{NUMBER}'",
        "national_id = 'e1.x.y'",
        "national_id = NULL",
        "national_id_blind = NULL",
        f"national_id = 'e1.1.{'A' * 60}\n{NUMBER}'",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            async with graph.database.one.connection.transaction():
                await graph.rows(f"UPDATE contact SET {columns} WHERE id = $1", people.ours[4:])


async def moved_row(graph: Graph, people: People) -> None:
    await graph.rows(
        "UPDATE contact SET national_id = other.national_id FROM contact other WHERE contact.id = $1 AND other.id = $2",
        people.ours[4:],
        people.theirs[4:],
    )


async def altered(graph: Graph, people: People) -> None:
    await graph.rows(
        "UPDATE contact SET national_id = left(national_id, 10) || 'AAAA' || substr(national_id, 15) WHERE id = $1",
        people.ours[4:],
    )


async def truncated(graph: Graph, people: People) -> None:
    await graph.rows("UPDATE contact SET national_id = left(national_id, -4) WHERE id = $1", people.ours[4:])


async def unknown_version(graph: Graph, people: People) -> None:
    await graph.rows(
        "UPDATE contact SET national_id = 'e1.9.' || substr(national_id, 6) WHERE id = $1", people.ours[4:]
    )


async def keys_gone(graph: Graph, people: People) -> None:
    assert people.ours
    await graph.rows("DELETE FROM workspace_key")
    graph.engine.services.vault.forget((await graph.claims("admin")).workspace_id)


TAMPERING = [moved_row, altered, truncated, unknown_version, keys_gone]


@pytest.mark.parametrize("executor", ["planned", "reference"])
@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda each: each.__name__)
async def test_what_was_tampered_with_is_an_internal_error_of_that_field_alone(
    graph: Graph, people: People, tamper: Any, executor: str, caplog: pytest.LogCaptureFixture
) -> None:
    graph.use(executor)
    await tamper(graph, people)
    sealed, _ = await stored(graph, people.ours)
    source = "query ($ids: [ID!]!) { contacts(where: {id: {in: $ids}}) { nodes { id name nationalId } } }"
    body = await graph.execute(source, {"ids": [people.ours, people.theirs]})
    nodes = {node["id"]: node["nationalId"] for node in body["data"]["contacts"]["nodes"]}
    gone = tamper is keys_gone
    assert nodes == {people.ours: None, people.theirs: None if gone else OTHER_NUMBER}
    errors = body["errors"]
    assert len(errors) == (2 if gone else 1)
    for error in errors:
        assert error["extensions"]["code"] == "INTERNAL"
        assert error["path"][:2] == ["contacts", "nodes"]
        assert error["path"][3] == "nationalId"
    for said in (str(body["errors"]), caplog.text):
        assert NUMBER not in said
        assert OTHER_NUMBER not in said
        assert str(sealed) not in said
    assert "contact.national_id" in caplog.text, "the operator is told where"


@pytest.mark.parametrize("tamper", TAMPERING[:-1], ids=lambda each: each.__name__)
async def test_what_cannot_be_read_can_be_written_anew(graph: Graph, people: People, tamper: Any) -> None:
    await tamper(graph, people)
    assert (await write(graph, people.ours, NUMBER))["contact"]["nationalId"] == NUMBER


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_a_wrong_master_key_is_internal_and_tells_the_operator(
    graph: Graph, people: People, executor: str, caplog: pytest.LogCaptureFixture
) -> None:
    graph.use(executor)
    wrong = MasterKeys.of({"CRM_MASTER_KEY": "wrong" * 10}, [b"another secret of the tests" * 2])
    graph.engine.contexts.services = replace(graph.engine.services, vault=Vault(wrong, graph.database))
    source = "query ($id: ID!) { contact(id: $id) { id nationalId } }"
    body = await graph.execute(source, {"id": people.ours})
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert "CRM_MASTER_KEY" not in str(body)
    assert "CRM_MASTER_KEY" in caplog.text
    assert "wrongwrong" not in caplog.text
    assert NUMBER not in str(body) + caplog.text
    whoever_does_not_ask = await graph.data("query ($id: ID!) { contact(id: $id) { id name } }", {"id": people.ours})
    assert whoever_does_not_ask["contact"]["id"] == people.ours


async def test_no_statement_more_where_keys_are_at_hand(graph: Graph, people: People) -> None:
    source = "query ($ids: [ID!]!) { contacts(where: {id: {in: $ids}}) { nodes { nationalId name } } }"
    await graph.data(source, {"ids": [people.ours, people.theirs]})
    assert graph.statements == 1
    graph.engine.services.vault.forget((await graph.claims("admin")).workspace_id)
    await graph.data(source, {"ids": [people.ours, people.theirs]})
    assert graph.statements == 2
    graph.engine.services.vault.forget((await graph.claims("admin")).workspace_id)
    await graph.data(source, {"ids": [people.nobody]})
    assert graph.statements == 1, "nothing to decrypt, so no keys"
