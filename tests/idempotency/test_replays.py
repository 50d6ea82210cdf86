"""The same key with the same request: done once, and answered as it was; with another one, refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.identity.tokens import Claims
from tests.domains.identity.test_api_keys import make_client
from tests.support.graph import Graph

PAYLOAD = "{ customer { id name version owner { name } } errors { code message field } }"
CREATE = f"mutation ($v: CreateCustomerInput!) {{ createCustomer(input: $v) {PAYLOAD} }}"
KEYED = (
    f"mutation ($v: CreateCustomerInput!, $k: String!) {{ createCustomer(input: $v) @idempotent(key: $k) {PAYLOAD} }}"
)
RENAME = "mutation ($v: UpdateCustomerInput!) { updateCustomer(input: $v) { errors { code } } }"
WRITTEN = (
    "SELECT (SELECT count(*) FROM customer), (SELECT count(*) FROM event), (SELECT count(*) FROM idempotent_answer)"
)
REUSED, NEW = "IDEMPOTENCY_KEY_REUSED", {"name": "New"}

pytestmark = pytest.mark.parametrize("executor", ["planned", "reference"])


@pytest.fixture(autouse=True)
def _use(graph: Graph, executor: str) -> None:
    graph.use(executor)


async def written(graph: Graph) -> tuple[int, ...]:
    """Return how many customers, events and kept answers there are."""
    ((*counts,),) = await graph.rows(WRITTEN)
    return tuple(counts)


def code_of(body: Mapping[str, Any]) -> str:
    """Return the code of an answer's one error."""
    (error,) = body["errors"]
    code: str = error["extensions"]["code"]
    return code


WAYS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "header": (CREATE, {}, {"key": "k"}),
    "directive": (KEYED, {"k": "k"}, {}),
}
BOTH_WAYS = pytest.mark.parametrize(("source", "more", "options"), WAYS.values(), ids=WAYS.keys())


@BOTH_WAYS
async def test_a_replay_does_nothing_and_answers_the_same(
    graph: Graph, source: str, more: Mapping[str, Any], options: Mapping[str, Any]
) -> None:
    customers, events, answers = await written(graph)
    first = await graph.execute(source, {"v": NEW, **more}, **options)
    assert first["data"]["createCustomer"]["customer"]["name"] == "New"
    assert await written(graph) == (customers + 1, events + 1, answers + 1)
    for _ in range(3):
        assert orjson.dumps(await graph.execute(source, {"v": NEW, **more}, **options)) == orjson.dumps(first)
    assert await written(graph) == (customers + 1, events + 1, answers + 1)


@BOTH_WAYS
async def test_other_variables_are_refused(
    graph: Graph, source: str, more: Mapping[str, Any], options: Mapping[str, Any]
) -> None:
    first = await graph.execute(source, {"v": NEW, **more}, **options)
    before = await written(graph)
    for other in ({"name": "Other"}, {**NEW, "phone": None}, {}):
        body = await graph.execute(source, {"v": {**NEW, **other, "industry": "IT"}, **more}, **options)
        assert (body["data"], code_of(body)) == ({"createCustomer": None}, REUSED)
        assert "make a new key for each request" in body["errors"][0]["message"]
    assert await written(graph) == before
    assert await graph.execute(source, {"v": NEW, **more}, **options) == first, "the key still stands for the first"


async def test_another_document_or_operation_is_refused(graph: Graph) -> None:
    """By the header a key stands for all of the request, also where the fields are others."""
    two = f"{CREATE.replace('mutation', 'mutation A')} {CREATE.replace('mutation', 'mutation B')}"
    assert "errors" not in await graph.execute(two, {"v": NEW}, operation="A", key="k")
    before = await written(graph)
    others: tuple[tuple[str, str | None], ...] = ((two, "B"), (CREATE, None), (f"{CREATE} ", None))
    for source, name in others:
        assert code_of(await graph.execute(source, {"v": NEW}, operation=name, key="k")) == REUSED
    elsewhere = CREATE.replace("createCustomer(", "elsewhere: createCustomer(")
    assert code_of(await graph.execute(elsewhere, {"v": NEW}, key="k")) == REUSED
    product = 'mutation { createProduct(input: {name: "P"}) { errors { code } } }'
    assert code_of(await graph.execute(product, key="k")) == REUSED
    assert await written(graph) == before
    assert await graph.value("SELECT count(*) FROM product WHERE name = 'P'") == 0


async def test_a_directive_stands_for_field_and_arguments_and_for_nothing_else(graph: Graph) -> None:
    """What is selected may be something else, and whether values come in variables too."""
    first = (await graph.execute(KEYED, {"v": NEW, "k": "k"}))["data"]["createCustomer"]["customer"]["id"]
    same = (
        'mutation { createCustomer(input: {name: "New"}) @idempotent(key: "k") { customer { id } } }',
        'mutation M { x: createCustomer(input: {name: "New"}) @idempotent(key: "k") { customer { id } } }',
        'mutation ($n: String = "New") { createCustomer(input: {name: $n}) @idempotent(key: "k") { customer { id } } }',
        'mutation ($p: String) { createCustomer(input: {name: "New", phone: $p}) @idempotent(key: "k")'
        " { customer { id } } }",
    )
    for source in same:
        (payload,) = (await graph.execute(source))["data"].values()
        assert payload == {"customer": {"id": first}}, source
    other = (
        'mutation { createCustomer(input: {name: "New", phone: null}) @idempotent(key: "k") { customer { id } } }',
        'mutation { createProduct(input: {name: "New"}) @idempotent(key: "k") { errors { code } } }',
    )
    for source in other:
        assert code_of(await graph.execute(source)) == REUSED, source


async def test_another_member_has_the_key_for_themselves(graph: Graph) -> None:
    made = set()
    for role in ("admin", "sales_rep", "sales_manager"):
        body = await graph.execute(CREATE, {"v": NEW}, key="k", role=role)
        made.add(body["data"]["createCustomer"]["customer"]["id"])
        assert await graph.execute(CREATE, {"v": NEW}, key="k", role=role) == body
    body = await graph.execute(CREATE, {"v": NEW}, key="k", workspace="other")
    made.add(body["data"]["createCustomer"]["customer"]["id"])
    assert len(made) == 4


async def test_another_client_has_the_key_for_itself(graph: Graph) -> None:
    """The same member by another application, which may have made the same key."""
    own = await graph.claims("admin")
    clients = [(await make_client(graph, name=name)).removeprefix("apc_") for name in ("web", "phone")]
    everybody = [own, *(replace(own, client_id=client) for client in clients)]
    bodies = [await graph.execute(CREATE, {"v": NEW}, key="k", claims=each) for each in everybody]
    ids = [body["data"]["createCustomer"]["customer"]["id"] for body in bodies]
    assert len(set(ids)) == 3
    assert [await graph.execute(CREATE, {"v": NEW}, key="k", claims=each) for each in everybody] == bodies


async def test_a_request_without_a_key_sends_no_statement_more(graph: Graph, executor: str) -> None:
    """With one it sends one, that which claims it: the answer is kept with what is written. A replay reads and does no
    more."""
    claims = await graph.claims("admin")
    await graph.data(CREATE, {"v": NEW}, claims=claims)  # the viewer is remembered, and so is the plan
    await graph.data(CREATE, {"v": NEW}, claims=claims)
    without = list(graph.database.one.sent)
    assert not any("idempotent" in text or "advisory" in text for text in without)
    await graph.execute(CREATE, {"v": NEW}, claims=claims, key="k")
    with_key = list(graph.database.one.sent)
    added = [text for text in with_key if "idempotent_answer" in text]
    assert (len(with_key), len(added)) == (len(without) + 1, 2)
    await graph.execute(CREATE, {"v": NEW}, claims=claims, key="k")
    replayed = list(graph.database.one.sent)
    assert "pg_try_advisory_xact_lock" in replayed[0]
    assert all(text.startswith("SELECT") for text in replayed), "and then the records are read"
    assert len(replayed) == (2 if executor == "planned" else 3), "whose owner the reference fetches by itself"


async def test_a_refusal_is_an_answer(graph: Graph) -> None:
    """It was said; a copy of the request that comes late must not do what its client was told is not done."""
    taken = {"name": "Second", "externalId": "X-1"}
    done = (await graph.data(CREATE, {"v": {"name": "First", "externalId": "X-1"}}))["createCustomer"]
    first = await graph.execute(CREATE, {"v": taken}, key="k")
    (error,) = first["data"]["createCustomer"]["errors"]
    assert (error["code"], first["data"]["createCustomer"]["customer"]) == ("TAKEN", None)
    renamed = {"id": done["customer"]["id"], "externalId": "X-2"}
    assert (await graph.data(RENAME, {"v": renamed}))["updateCustomer"]["errors"] == []
    before = await written(graph)
    assert await graph.execute(CREATE, {"v": taken}, key="k") == first
    assert await written(graph) == before
    assert (await graph.data(CREATE, {"v": taken}))["createCustomer"]["errors"] == []


async def test_what_was_refused_before_it_ran_is_no_answer(graph: Graph) -> None:
    """A text that is too long is refused at the door, a verb that no role grants at the top: nothing is kept of either,
    and the same key goes on where the reason is gone."""
    before = await written(graph)
    body = await graph.execute(CREATE, {"v": {"name": "x" * 501}}, key="long")
    assert [error["code"] for error in body["data"]["createCustomer"]["errors"]] == ["INVALID"]
    claims = await graph.claims("analyst")
    assert code_of(await graph.execute(CREATE, {"v": NEW}, key="k", claims=claims)) == "FORBIDDEN"
    assert await written(graph) == before
    await give_role(graph, claims, "admin")
    body = await graph.execute(CREATE, {"v": NEW}, key="k", claims=claims)
    assert body["data"]["createCustomer"]["errors"] == []


async def give_role(graph: Graph, claims: Claims, *roles: str) -> None:
    """Replace a member's roles."""
    source = "mutation ($v: SetMemberRolesInput!) { setMemberRoles(input: $v) { errors { code message } } }"
    payload = await graph.data(source, {"v": {"id": f"mem_{claims.member_id}", "roles": list(roles)}})
    assert payload["setMemberRoles"]["errors"] == []


async def test_each_field_of_a_request_is_done_and_kept_by_itself(graph: Graph) -> None:
    source = f"""mutation ($v: CreateCustomerInput!, $id: ID!) {{
        a: createCustomer(input: $v) {PAYLOAD}
        b: updateCustomer(input: {{id: $id, name: "B"}}) {{ customer {{ name version }} errors {{ code }} }}
        c: createCustomer(input: $v) {PAYLOAD} }}"""
    given = {"v": NEW, "id": await graph.id_of(Customer)}
    customers, events, answers = await written(graph)
    first = await graph.execute(source, given, key="k")
    assert await written(graph) == (customers + 2, events + 3, answers + 3)
    assert first["data"]["a"]["customer"]["id"] != first["data"]["c"]["customer"]["id"]
    assert orjson.dumps(await graph.execute(source, given, key="k")) == orjson.dumps(first)
    assert await written(graph) == (customers + 2, events + 3, answers + 3)
    # As where the process was killed after the second field: it is gone from the third on.
    await graph.rows(
        "DELETE FROM idempotent_answer WHERE position($1::bytea IN answer) > 0", _id(first["data"]["c"]).encode()
    )
    await graph.rows("DELETE FROM customer WHERE id = $1", _id(first["data"]["c"]))
    resumed = await graph.execute(source, given, key="k")
    assert {key: resumed["data"][key] for key in "ab"} == {key: first["data"][key] for key in "ab"}
    assert resumed["data"]["c"]["customer"]["id"] not in (first["data"][key]["customer"].get("id") for key in "ac")
    assert await written(graph) == (customers + 2, events + 4, answers + 3)


def _id(payload: Any) -> str:
    id_: str = payload["customer"]["id"]
    return id_.removeprefix("cus_")


async def test_a_field_that_fails_leaves_the_others_to_be_replayed(graph: Graph) -> None:
    """Without the role for one of them: it is tried again, the others are answered."""
    source = f"mutation ($v: CreateCustomerInput!) {{ a: createCustomer(input: $v) {PAYLOAD} b: " + (
        'createPipeline(input: {name: "P"}) { pipeline { name } } }'
    )
    claims = await graph.claims("sales_rep")
    first = await graph.execute(source, {"v": NEW}, key="k", claims=claims)
    assert (code_of(first), first["data"]["b"]) == ("FORBIDDEN", None)
    await give_role(graph, claims, "admin")
    again = await graph.execute(source, {"v": NEW}, key="k", claims=claims)
    assert again["data"] == {"a": first["data"]["a"], "b": {"pipeline": {"name": "P"}}}


async def test_directive_and_header_together(graph: Graph) -> None:
    """The directive is the key of its field; the header of all others, and of them alone."""
    source = f"""mutation ($v: CreateCustomerInput!, $k: String!) {{
        a: createCustomer(input: $v) @idempotent(key: $k) {PAYLOAD} b: createCustomer(input: $v) {PAYLOAD} }}"""
    customers, _, answers = await written(graph)
    first = await graph.execute(source, {"v": NEW, "k": "k"}, key="k")
    assert await graph.execute(source, {"v": NEW, "k": "k"}, key="k") == first
    assert (await written(graph))[::2] == (customers + 2, answers + 2)
    alone = await graph.execute(KEYED, {"v": NEW, "k": "k"})
    assert alone["data"]["createCustomer"] == first["data"]["a"]
    other = await graph.execute(source, {"v": NEW, "k": "k"}, key="k2")
    assert other["data"]["a"] == first["data"]["a"]
    assert other["data"]["b"] != first["data"]["b"]
    reused = await graph.execute(source, {"v": NEW, "k": "k2"}, key="k")
    assert (code_of(reused), reused["data"]["b"]) == (REUSED, None), "the variables of the request are others"
    assert reused["data"]["a"]["customer"]["id"] not in str(first), "a new key of the field's own"


async def test_one_key_at_two_fields(graph: Graph) -> None:
    """The same is done once; something else is refused."""
    source = f"""mutation ($v: CreateCustomerInput!, $w: CreateCustomerInput!) {{
        a: createCustomer(input: $v) @idempotent(key: "k") {PAYLOAD}
        b: createCustomer(input: $v) @idempotent(key: "k") {PAYLOAD}
        c: createCustomer(input: $w) @idempotent(key: "k") {PAYLOAD} }}"""
    body = await graph.execute(source, {"v": NEW, "w": {"name": "Other"}})
    assert body["data"]["a"] == body["data"]["b"]
    assert (body["data"]["c"], code_of(body), body["errors"][0]["path"]) == (None, REUSED, ["c"])


BAD_KEYS: Mapping[str, tuple[str, str]] = {
    "300 letters": ("x" * 300, "The key of `@idempotent` has 300 letters: 255 is the most. Send one that you make for"),
    "empty": ("", "The key of `@idempotent` is empty."),
    "blank": ("  ", "The key of `@idempotent` is empty."),
    "a control character": ("a\nb", "The key of `@idempotent` has a control character."),
}


@pytest.mark.parametrize(("key", "says"), BAD_KEYS.values(), ids=BAD_KEYS.keys())
async def test_what_is_no_key(graph: Graph, key: str, says: str) -> None:
    before = await written(graph)
    body = await graph.execute(KEYED, {"v": NEW, "k": key})
    assert (body["data"], code_of(body)) == ({"createCustomer": None}, "BAD_USER_INPUT")
    assert body["errors"][0]["message"].startswith(says)
    assert await written(graph) == before


async def test_places_that_are_merged_have_one_key(graph: Graph) -> None:
    source = """mutation ($a: String!, $b: String!) {
        createCustomer(input: {name: "M"}) @idempotent(key: $a) { customer { id } }
        ... on Mutation { createCustomer(input: {name: "M"}) @idempotent(key: $b) { customer { name } } } }"""
    before = await written(graph)
    body = await graph.execute(source, {"a": "1", "b": "2"})
    assert code_of(body) == "BAD_USER_INPUT"
    assert "2 keys in `@idempotent`: give one" in body["errors"][0]["message"]
    assert await written(graph) == before
    body = await graph.execute(source, {"a": "1", "b": "1"})
    assert body["data"]["createCustomer"]["customer"].keys() == {"id", "name"}
    half = source.replace(" @idempotent(key: $b)", "").replace(", $b: String!", "")
    assert await graph.execute(half, {"a": "1"}) == body


async def test_a_key_that_is_a_variable_by_default(graph: Graph) -> None:
    source = (
        'mutation ($k: String = "d") { createCustomer(input: {name: "D"}) @idempotent(key: $k) { customer { id } } }'
    )
    first = await graph.execute(source)
    assert await graph.execute(source) == first
    assert await graph.execute(source, {"k": "d"}) == first
    assert code_of(await graph.execute(source, {"k": None})) == "BAD_USER_INPUT"
    assert await graph.execute(source, {"k": "other"}) != first


PLACES: Mapping[str, tuple[str, str]] = {
    "a query": ('{ customers @idempotent(key: "k") { totalCount } }', "stands at fields of Mutation alone"),
    "below a mutation": (
        'mutation { createCustomer(input: {name: "N"}) { customer @idempotent(key: "k") { id } } }',
        "stands at fields of Mutation alone",
    ),
    "a subscription": (
        'subscription { customerChanged @idempotent(key: "k") { kind } }',
        "stands at fields of Mutation alone",
    ),
    "a fragment": ('mutation { ... @idempotent(key: "k") { __typename } }', "may not be used on"),
    "a mutation with a password": (
        'mutation { changePassword(input: {currentPassword: "a", newPassword: "b"}) @idempotent(key: "k")'
        " { errors { code } } }",
        "takes no `@idempotent`",
    ),
    "signing in": (
        'mutation { signIn(input: {email: "a", password: "b"}) @idempotent(key: "k") { errors { code } } }',
        "takes no `@idempotent`",
    ),
    "without a key": (
        "mutation { revokeOtherSessions @idempotent { revoked } }",
        "'@idempotent(key:)' of type 'String!' is required",
    ),
}


@pytest.mark.parametrize(("source", "says"), PLACES.values(), ids=PLACES.keys())
async def test_where_the_directive_does_nothing_it_is_an_error(graph: Graph, source: str, says: str) -> None:
    error = await graph.error(source)
    assert error["extensions"]["code"] == "VALIDATION_FAILED"
    assert says in error["message"]
    assert error["locations"]


async def test_a_header_of_what_takes_no_key_is_passed_over(graph: Graph) -> None:
    """A client that sends one with every request reads, and changes its password, all the same."""
    query = "{ customers { totalCount } }"
    assert await graph.execute(query, key="k") == await graph.execute(query, key="k")
    body = await graph.execute(
        'mutation { changePassword(input: {currentPassword: "a", newPassword: "b"}) { errors { code } } }', key="k"
    )
    assert "data" in body
    assert await graph.value("SELECT count(*) FROM idempotent_answer") == 0


# What is selected.


async def test_a_record_is_read_again_as_it_is_by_then(graph: Graph) -> None:
    """What was answered about the change stays; the record below it is not kept, so nobody is shown an old one."""
    first = (await graph.execute(CREATE, {"v": NEW}, key="k"))["data"]["createCustomer"]
    await graph.data(RENAME, {"v": {"id": first["customer"]["id"], "name": "Renamed"}})
    second = (await graph.execute(CREATE, {"v": NEW}, key="k"))["data"]["createCustomer"]
    assert second == {**first, "customer": {**first["customer"], "name": "Renamed", "version": 2}}
    await graph.data("mutation ($id: ID!) { deleteCustomer(input: {id: $id}) { deletedId } }", {"id": _api_id(first)})
    assert (await graph.execute(CREATE, {"v": NEW}, key="k"))["data"]["createCustomer"] == {
        "customer": None,
        "errors": [],
    }


def _api_id(payload: Any) -> str:
    id_: str = payload["customer"]["id"]
    return id_


async def test_a_role_that_was_lost_shows_nothing_any_more(graph: Graph) -> None:
    """A replay is read under the rights of now, and does nothing, so no right to do it is asked for."""
    claims = await graph.claims("sales_rep")
    given = {"v": {"name": "Secret", "email": "secret@example.com"}}
    source = CREATE.replace("name version owner { name }", "name email")
    first = await graph.execute(source, given, key="k", claims=claims)
    shown = first["data"]["createCustomer"]["customer"]
    assert (shown["name"], shown["email"]) == ("Secret", "secret@example.com")
    assert await graph.execute(source, given, key="k", claims=claims) == first
    await define_role(graph, "junior", "ALL", [{"field": "email", "level": "NONE"}])
    await define_role(graph, "own", "OWN")
    await graph.rows("UPDATE customer SET owner_id = NULL WHERE name = 'Secret'")
    await give_role(graph, claims, "junior")
    before = await written(graph)
    later = await graph.execute(source, given, key="k", claims=claims)
    assert later["data"]["createCustomer"] == {"customer": {**shown, "email": None}, "errors": []}
    assert later["extensions"] == {"withheld": ["Customer.email"]}
    await give_role(graph, claims, "own")
    later = await graph.execute(source, given, key="k", claims=claims)
    assert later["data"]["createCustomer"] == {"customer": None, "errors": []}
    assert (await written(graph))[::2] == before[::2]


async def define_role(graph: Graph, name: str, scope: str, fields: Sequence[Mapping[str, Any]] = ()) -> None:
    """Define a role that reads customers and does nothing else."""
    source = "mutation ($v: CreateRoleInput!) { createRole(input: $v) { errors { code message } } }"
    grant = {"type": "Customer", "verbs": [{"verb": "read", "scope": scope}], "fields": list(fields)}
    payload = await graph.data(source, {"v": {"name": name, "grants": [grant]}})
    assert payload["createRole"]["errors"] == []


async def test_nothing_of_a_record_is_kept(graph: Graph) -> None:
    source = CREATE.replace("name version", "name email phone")
    given = {"name": "Whoever It Is", "email": "who@example.com", "phone": "+86 10 5555"}
    body = await graph.execute(source, {"v": given}, key="a key of mine")
    (answer,) = [bytes(row[0]) for row in await graph.rows("SELECT answer FROM idempotent_answer")]
    assert orjson.loads(answer) == {"record_id": _id(body["data"]["createCustomer"]), "errors": []}
    row = await graph.value("SELECT encode(convert_to(t::text, 'UTF8'), 'escape') FROM idempotent_answer t")
    for text in ("Whoever", "who@example", "5555", "a key of mine"):
        assert text not in row
        assert text.encode().hex() not in row
