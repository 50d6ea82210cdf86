"""What is kept under a key: for how long, how much of it, as whose, and what never is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import EnumType
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import strawberry
from graphql import get_named_type, is_non_null_type

from crm_graph.app import make_worker
from crm_graph.db.quota import bytes_of_change
from crm_graph.domains.platform.jobs.keeping import FORGET, SCHEDULES
from crm_graph.graph.idempotency.values import form_of, pack, unpack
from crm_graph.graph.payloads import UserError, UserErrorCode
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.idempotency.answers import ROW_BYTES
from tests.db.test_storage import measured, with_limits
from tests.domains.identity.test_api_keys import CREATE_KEY, ROTATE, make_client
from tests.idempotency.test_replays import CREATE, NEW, code_of, written
from tests.support.graph import Graph

SOURCE = Path(__file__).parents[2] / "src" / "crm_graph"
AGE = "UPDATE idempotent_answer SET created_at = created_at - make_interval(hours => $1)"
ANSWERS = "SELECT count(*) FROM idempotent_answer"
DEFINITION = "strawberry-definition"


# For how long.


async def test_after_a_day_it_is_gone(graph: Graph) -> None:
    """Also while its row is still there: a key that comes again then is a new one, for whatever it comes with."""
    first = await graph.execute(CREATE, {"v": NEW}, key="k")
    await graph.rows(AGE, 23)
    assert await graph.execute(CREATE, {"v": NEW}, key="k") == first
    await graph.rows(AGE, 1)
    second = await graph.execute(CREATE, {"v": {"name": "Other"}}, key="k")
    assert second["data"]["createCustomer"]["customer"]["name"] == "Other"
    assert await graph.execute(CREATE, {"v": {"name": "Other"}}, key="k") == second
    assert code_of(await graph.execute(CREATE, {"v": NEW}, key="k")) == "IDEMPOTENCY_KEY_REUSED"
    assert await graph.value(ANSWERS) == 1, "it took the old one's place"


async def test_it_lasts_as_long_as_the_setting_says(graph: Graph, schema: BuiltSchema) -> None:
    short = with_limits(graph, schema, idempotency_hours=2)
    first = await short.execute(CREATE, {"v": NEW}, key="k")
    await graph.rows(AGE, 1)
    assert await short.execute(CREATE, {"v": NEW}, key="k") == first
    await graph.rows(AGE, 1)
    assert await short.execute(CREATE, {"v": NEW}, key="k") != first


async def test_the_tick_removes_what_is_over(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """In steps, of all workspaces, and nothing that still counts."""
    monkeypatch.setattr("crm_graph.idempotency.answers.BATCH", 2)
    for number in range(5):
        await graph.execute(CREATE, {"v": NEW}, key=f"k{number}", workspace="other" if number == 4 else "demo")
    await graph.rows(AGE, 24)
    kept = await graph.execute(CREATE, {"v": NEW}, key="now")
    assert await graph.value(ANSWERS) == 6
    assert FORGET in {each.kind for each in SCHEDULES}
    await make_worker(graph.schema, graph.engine.services).chores[FORGET]()
    assert await graph.value(ANSWERS) == 1
    assert await graph.execute(CREATE, {"v": NEW}, key="now") == kept


# How much.


async def test_of_an_answer_that_is_too_large_it_is_kept_that_it_was_given(graph: Graph, schema: BuiltSchema) -> None:
    """The first request has it; a replay is told that it was done, and does nothing."""
    small = with_limits(graph, schema, idempotency_max_bytes=20)
    assert "errors" not in await small.execute(CREATE, {"v": NEW}, key="k")
    before = await written(graph)
    body = await small.execute(CREATE, {"v": NEW}, key="k")
    assert (body["data"], code_of(body)) == ({"createCustomer": None}, "COST_LIMIT_EXCEEDED")
    assert body["errors"][0]["message"].startswith("This mutation was carried out when this idempotency key came first")
    assert code_of(await small.execute(CREATE, {"v": {"name": "Other"}}, key="k")) == "IDEMPOTENCY_KEY_REUSED"
    assert await written(graph) == before
    refused = await small.execute(CREATE, {"v": {"name": " "}}, key="refused")
    assert refused["data"]["createCustomer"]["errors"]
    assert await written(graph) == before, "of a refusal that is too large nothing is: nothing was done"


async def test_it_counts_as_what_the_workspace_stores(graph: Graph) -> None:
    id_ = (await graph.claims("admin")).workspace_id
    quotas, before = graph.engine.services.quotas, await measured(graph)
    await graph.data(CREATE, {"v": NEW})
    without = quotas.used(id_)
    await graph.execute(CREATE, {"v": NEW}, key="k")
    size = await graph.value("SELECT length(answer) FROM idempotent_answer")
    assert quotas.used(id_) - without == without + ROW_BYTES + size
    assert without == bytes_of_change(NEW.values())
    with_key = (await measured(graph))["demo"]
    await graph.rows("DELETE FROM idempotent_answer")
    assert with_key > (await measured(graph))["demo"] > before["demo"]


async def test_a_full_workspace_does_what_it_may_and_keeps_no_refusals(graph: Graph, schema: BuiltSchema) -> None:
    """A key makes nothing impossible that is possible without: it is emptied, and what was done is known."""
    id_ = (await graph.data(CREATE, {"v": NEW}))["createCustomer"]["customer"]["id"]
    full = with_limits(graph, schema, workspace_max_bytes=1)
    refused = await full.execute(CREATE, {"v": NEW}, key="k")
    assert [each["code"] for each in refused["data"]["createCustomer"]["errors"]] == ["LIMIT"]
    assert await graph.value(ANSWERS) == 0
    delete = "mutation ($id: ID!) { deleteCustomer(input: {id: $id}) { deletedId errors { code } } }"
    done = await full.execute(delete, {"id": id_}, key="d")
    assert done["data"]["deleteCustomer"] == {"deletedId": id_, "errors": []}
    assert await full.execute(delete, {"id": id_}, key="d") == done
    roomy = with_limits(graph, schema)
    assert (await roomy.execute(CREATE, {"v": NEW}, key="k"))["data"]["createCustomer"]["errors"] == []


# What never is.

WEBHOOK = {"url": "https://hooks.example.com/x", "eventTypes": ["CustomerCreated"], "roles": ["analyst"]}
INVITED = {"email": "new@example.com", "name": "New", "roles": ["analyst"]}
SECRETS: Mapping[str, tuple[str, Mapping[str, Any], str, str, str]] = {
    "createApiKey": (CREATE_KEY, {"name": "ci"}, "key", "Rotate the API key", "api_key"),
    "createWebhookEndpoint": (
        "mutation ($input: CreateWebhookEndpointInput!) { createWebhookEndpoint(input: $input) {"
        " webhookEndpoint { id } secret errors { code } } }",
        WEBHOOK,
        "secret",
        "Make a new one by `rotateWebhookEndpointSecret`",
        "webhook_endpoint",
    ),
    "inviteMember": (
        "mutation ($input: InviteMemberInput!) { inviteMember(input: $input) { member { id } link errors { code } } }",
        INVITED,
        "link",
        "Invite the member again",
        "member",
    ),
}


@pytest.mark.parametrize("executor", ["planned", "reference"])
@pytest.mark.parametrize("name", SECRETS)
async def test_what_is_shown_once_is_shown_once(graph: Graph, name: str, executor: str) -> None:
    """A replay has an error in its place, which says what to do; all else of the answer is there, and nothing is made
    again. Whoever does not select it is told of no error."""
    graph.use(executor)
    source, given, field, instead, table = SECRETS[name]
    if name == "createApiKey":
        given = {**given, "clientId": await make_client(graph, "integration")}
    first = await graph.execute(source, {"input": given}, key="k")
    secret = first["data"][name][field]
    assert len(secret) > 20
    before = await graph.value(f"SELECT count(*) FROM {table}")
    again = await graph.execute(source, {"input": given}, key="k")
    assert again["data"] == {name: {**first["data"][name], field: None}}
    assert (code_of(again), again["errors"][0]["path"]) == ("NOT_FOUND", [name, field])
    assert instead in again["errors"][0]["message"]
    assert await graph.value(f"SELECT count(*) FROM {table}") == before
    answer = bytes(await graph.value("SELECT answer FROM idempotent_answer"))
    assert secret.encode() not in answer
    assert secret.rpartition("#")[2].encode()[:20] not in answer
    keyed = re.sub(r"\(input: \$input\)", '(input: $input) @idempotent(key: "d")', source)
    await graph.execute(keyed, {"input": {**given, "email": "other@example.com"} if table == "member" else given})
    alone = keyed.replace(f" {field} ", " ")
    assert "errors" not in await graph.execute(
        alone, {"input": {**given, "email": "other@example.com"} if table == "member" else given}
    )


async def test_a_secret_that_was_not_made_is_no_error(graph: Graph) -> None:
    given = {"id": f"apk_{'0' * 32}"}
    first = await graph.execute(ROTATE, {"input": given}, key="k")
    assert first["data"]["rotateApiKey"] == {
        "key": None,
        "apiKey": None,
        "errors": [{"code": "NOT_FOUND", "field": ["id"]}],
    }
    assert await graph.execute(ROTATE, {"input": given}, key="k") == first


def payloads(schema: BuiltSchema) -> Mapping[str, type]:
    """Return the payload types of all mutations that take a key."""
    mutation = schema.core.mutation_type
    assert mutation is not None
    return {
        name: get_named_type(field.type).extensions[DEFINITION].origin
        for name, field in mutation.fields.items()
        if name not in schema.keyless
    }


TEXTS = {
    *("record_id", "deleted_id"),
    *("added", "aliased", "unchanged", "removed"),  # hashes of documents
}
"""Texts of payloads that are no secrets: a new one is put here, or is declared by `shown_once`."""


def test_every_payload_can_be_kept_and_its_secrets_are_declared(schema: BuiltSchema) -> None:
    found, once = set(), set()
    for name, payload in payloads(schema).items():
        form = form_of(payload)
        once |= {f"{name}.{field}" for field in form.once}
        hints = get_type_hints(payload)
        found |= {field for field in form.readers if re.search(r"\b(str|ID)\b", str(hints[field]))} - {*form.once}
        type_: Any = get_named_type(schema.core.mutation_type.fields[name].type)  # type: ignore[union-attr]
        shown = {each.extensions[DEFINITION].python_name: each for each in type_.fields.values()}
        assert not any(is_non_null_type(shown[field].type) for field in form.once), "an error takes its place"
    assert found == TEXTS
    assert once == {
        *("createApiKey.key", "rotateApiKey.key"),
        *("createWebhookEndpoint.secret", "rotateWebhookEndpointSecret.secret"),
        *("inviteMember.link", "resendInvitation.link"),
    }


def test_every_payload_comes_back_as_it_was(schema: BuiltSchema) -> None:
    errors = [UserError(code=UserErrorCode.TAKEN, message="名 is taken", field=["lines", "1", "name"])]
    for payload in {*payloads(schema).values()}:
        for given in ([], errors):
            made = _made(payload, errors=given)
            assert unpack(payload, pack(made)) == made


def _made(payload: Any, **given: Any) -> Any:
    """Return a payload with something in each of its fields, but those that are shown once."""
    form, hints = form_of(payload), get_type_hints(payload)
    some = {name: _some(hints[name]) for name in form.readers} | dict.fromkeys(form.once)
    return payload(**{**some, **given})


def _some(hint: Any) -> Any:
    if NoneType in get_args(hint):
        (hint,) = (each for each in get_args(hint) if each is not NoneType)
    if get_origin(hint) is list:
        return [_some(get_args(hint)[0]), _some(get_args(hint)[0])]
    if hint in {int, str, strawberry.ID}:
        return 3 if hint is int else "0" * 32
    return next(iter(hint)) if isinstance(hint, EnumType) else _made(hint)


@strawberry.type
class Timed:
    """A payload that holds a time."""

    at: datetime


def test_what_cannot_be_kept_fails_before_anything_is_done() -> None:
    with pytest.raises(TypeError, match=r"Timed\.at is a .*datetime.* of which no answer can be kept"):
        form_of(Timed)


def test_mutations_take_a_key_or_say_that_they_do_not(schema: BuiltSchema) -> None:
    """A unit of work that a mutation opens by itself would be one that its key knows nothing of."""
    opens = re.compile(r"\bcontext\.begin\(\)")
    found = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if opens.search(path.read_text())}
    assert found == {"graph/idempotency/once.py", "api/transport/exports.py"}
    assert schema.keyless - schema.public == {
        *("changePassword", "startSecondFactor", "confirmSecondFactor", "disableSecondFactor", "renewRecoveryCodes"),
    }


async def test_revoking_a_session_is_done_once(graph: Graph) -> None:
    """It is not said to be there no more to whoever asks again because an answer was lost."""
    claims = await graph.claims("admin")
    id_ = await graph.value("SELECT gen_random_uuid()")
    await graph.rows(
        "INSERT INTO member_session (workspace_id, id, member_id, method, kind, last_used_at, expires_at, salt,"
        " version, created_at, updated_at) VALUES ($1, $2, $3, 'PASSWORD', 'TOKENS', now(), now() + interval '1 day',"
        " 'salt', 1, now(), now())",
        claims.workspace_id,
        id_,
        claims.member_id,
    )
    source = "mutation ($id: ID!) { revokeSession(input: {id: $id}) { errors { code } } }"
    given = {"id": f"ses_{str(id_).replace('-', '')}"}
    for _ in range(2):
        body = await graph.execute(source, given, key="k", claims=claims)
        assert body == {"data": {"revokeSession": {"errors": []}}}
    assert (await graph.data(source, given, claims=claims))["revokeSession"]["errors"] == [{"code": "NOT_FOUND"}]
    others = "mutation { revokeOtherSessions { revoked errors { code } } }"
    first = await graph.execute(others, key="o", claims=claims)
    assert await graph.execute(others, key="o", claims=claims) == first
