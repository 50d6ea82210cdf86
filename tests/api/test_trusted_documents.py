"""Trusted documents, in this process: which document a request names, who may run it, and what it costs."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from crm_graph.api.body import BadRequest, GraphQLRequest, parse_request
from crm_graph.api.documents.cache import DocumentError
from crm_graph.api.documents.trusted import schema_sha256, spell
from crm_graph.domains.identity.clients.documents import NewDocument, Pushed, push_documents, remove_documents
from crm_graph.domains.identity.clients.operations import create_api_client, delete_api_client, update_api_client
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.errors import (
    BadUserInput,
    DocumentNotFound,
    Forbidden,
    OperatorError,
    Refused,
    Unauthenticated,
)
from crm_graph.kernel.settings import Settings
from tests.support.database import savepoint
from tests.support.graph import Graph

WHO = "query Who { viewer { member { name } } }"
OTHER = "query Other { __typename }"
MD5 = "0123456789abcdef0123456789abcdef"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def document(source: str = WHO, *aliases: str) -> NewDocument:
    return NewDocument(sha256(source), source, ("Who",), aliases)


def apollo(hash_: object, **more: object) -> dict[str, object]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash_}}, **more}


class Desk:
    """A workspace with a client `web`, and what its operator and its members do."""

    def __init__(self, graph: Graph, claims: Claims, client_id: str) -> None:
        self.graph = graph
        self.claims = claims
        self.client_id = client_id
        self.now = 0.0
        trusted = graph.engine.trusted
        trusted._found._clock = trusted._clients._clock = lambda: self.now

    @classmethod
    async def of(cls, graph: Graph) -> Desk:
        claims = await graph.claims("admin")
        context = await graph.engine.contexts.read(claims)
        async with context.begin() as work:
            client_id = await create_api_client(work, {"name": "web"}, ())
        return cls(graph, claims, client_id)

    @property
    def web(self) -> Claims:
        """The claims of a token that names the client."""
        return replace(self.claims, client_id=self.client_id)

    async def push(self, *documents: NewDocument, client: bool = False, schema: str | None = None) -> Pushed:
        context = await self.graph.engine.contexts.read(self.claims)
        async with context.begin() as work:
            client_id = self.client_id if client else None
            return await push_documents(work, client_id, documents, schema or schema_sha256(self.graph.schema))

    async def remove(self, *ids: str, client: bool = False) -> list[str]:
        context = await self.graph.engine.contexts.read(self.claims)
        async with context.begin() as work:
            return await remove_documents(work, self.client_id if client else None, ids)

    async def mode(self, mode: str) -> None:
        context = await self.graph.engine.contexts.read(self.claims)
        async with context.begin() as work:
            await update_api_client(work, self.client_id, {"document_mode": mode}, (), None)
        self.now += 5

    async def run(self, body: Mapping[str, object], claims: Claims | None = None) -> Any:
        """Return the data of a request that must succeed."""
        request, claims = parse_request(dict(body)), claims or self.claims
        operation = await self.graph.engine.admission.operation(request, claims)
        answer = (await self.graph.engine.execute(request, operation, claims)).body
        assert "errors" not in answer, answer
        return answer["data"]

    async def refused(self, error: type[Exception], body: Mapping[str, object], claims: Claims | None = None) -> str:
        """Return why a request is not run."""
        with pytest.raises(error) as caught:
            await self.graph.engine.admission.operation(parse_request(dict(body)), claims or self.claims)
        return caught.value.code if isinstance(caught.value, DocumentError) else str(caught.value)


@pytest.fixture
async def desk(graph: Graph) -> Desk:
    return await Desk.of(graph)


SPELLINGS: dict[str, dict[str, object]] = {
    "documentId": {"documentId": f"sha256:{sha256(WHO)}"},
    "documentId of a tool": {"documentId": MD5},
    "Relay's doc_id": {"doc_id": MD5},
    "Relay's id": {"id": MD5},
    "Apollo's hash": apollo(sha256(WHO)),
    "an id of Apollo's manifest": apollo(MD5),
    "Apollo's hash beside its query": apollo(sha256(WHO), query=WHO),
    "a tool's id beside its query": {"documentId": MD5, "query": WHO},
    "an id and an empty query": {"id": MD5, "query": ""},
    "the query itself": {"query": WHO},
    "a query in a numbered request": {"query": WHO, "id": "1"},
}


@pytest.mark.parametrize("mode", ["OPEN", "WARN", "TRUSTED_ONLY"])
@pytest.mark.parametrize("body", SPELLINGS.values(), ids=SPELLINGS.keys())
async def test_spellings(desk: Desk, body: dict[str, object], mode: str) -> None:
    await desk.push(document(WHO, MD5), client=True)
    await desk.mode(mode)
    assert set(await desk.run(body, desk.web)) == {"viewer"}
    assert not desk.graph.engine.trusted.noted


NO_REQUESTS: dict[str, dict[str, object]] = {
    "nothing": {},
    "an empty id": {"documentId": ""},
    "a number": {"documentId": 7},
    "a number of Relay's": {"id": 7},
    "another version": {"extensions": {"persistedQuery": {"version": 2, "sha256Hash": "x"}}},
    "no hash": {"extensions": {"persistedQuery": {"version": 1}}},
    "no object": {"extensions": {"persistedQuery": "x"}},
    "a hash that is none, beside a query": apollo(None, query=WHO),
}


@pytest.mark.parametrize("body", NO_REQUESTS.values(), ids=NO_REQUESTS.keys())
def test_what_is_no_request(body: dict[str, object]) -> None:
    with pytest.raises(BadRequest):
        parse_request(dict(body))


@pytest.mark.parametrize(
    ("id_", "meant"),
    [
        (f"sha256:{'a' * 64}", ("a" * 64, None)),
        (f"sha256:{'A' * 64}", (None, None)),
        ("sha256:a", (None, None)),
        ("sha256:", (None, None)),
        ("md5:a", (None, None)),
        ("x-ours:a", (None, "x-ours:a")),
        ("a" * 64, ("a" * 64, "a" * 64)),
        (MD5, (None, MD5)),
        ("a" * 201, (None, None)),
        ("a b", (None, None)),
        ("a\n", (None, None)),
        ("", (None, None)),
    ],
)
def test_what_an_id_may_mean(id_: str, meant: tuple[str | None, str | None]) -> None:
    assert spell(id_) == meant


async def test_an_unknown_id_is_not_found(desk: Desk) -> None:
    for body in ({"documentId": f"sha256:{sha256(WHO)}"}, {"doc_id": MD5}, {"id": "a b"}, {"documentId": "md5:a"}):
        assert "crm-graph documents push" in await desk.refused(DocumentNotFound, body)


async def test_apollo_is_told_in_its_words_unless_sending_the_query_is_of_no_use(desk: Desk) -> None:
    assert await desk.refused(DocumentNotFound, apollo(sha256(WHO)), desk.web) == "PersistedQueryNotFound"
    await desk.mode("TRUSTED_ONLY")
    assert "trusted documents only" in await desk.refused(DocumentNotFound, apollo(sha256(WHO)), desk.web)


async def test_nothing_is_registered_by_a_request(desk: Desk) -> None:
    assert set(await desk.run(apollo(sha256(WHO), query=WHO))) == {"viewer"}
    await desk.refused(DocumentNotFound, apollo(sha256(WHO)))
    assert await desk.graph.value("SELECT count(*) FROM trusted_document") == 0


@pytest.mark.parametrize(
    "body",
    [
        apollo(sha256(OTHER), query=WHO),
        apollo(sha256(WHO), query=WHO + " "),
        {"documentId": f"sha256:{sha256(OTHER)}", "query": WHO},
        {"documentId": "other", "query": WHO},
        {"documentId": "md5:x", "query": WHO},
    ],
)
async def test_an_id_beside_another_query_is_refused(desk: Desk, body: dict[str, object]) -> None:
    await desk.push(document(WHO, MD5), document(OTHER, "other"))
    assert "not the document" in await desk.refused(BadUserInput, body)


async def test_an_id_that_was_never_pushed_says_nothing_about_the_query(desk: Desk) -> None:
    """A client whose manifest was not pushed falls back to the query: what it may run is its mode's matter."""
    assert set(await desk.run({"documentId": "unknown", "query": WHO}, desk.web)) == {"viewer"}
    await desk.mode("TRUSTED_ONLY")
    await desk.refused(DocumentNotFound, {"documentId": "unknown", "query": WHO}, desk.web)


async def test_trusted_only_refuses_what_is_not_trusted_byte_by_byte(desk: Desk) -> None:
    await desk.push(document(), client=True)
    await desk.mode("TRUSTED_ONLY")
    for source in (OTHER, WHO + " ", "{ __typename }", "{", ""):
        assert "trusted documents only" in await desk.refused(DocumentNotFound, {"query": source}, desk.web)
    assert set(await desk.run({"query": OTHER})) == {"__typename"}, "other clients are not held to it"


async def test_warn_runs_counts_and_logs_at_the_powers_of_ten(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    await desk.push(document())
    await desk.mode("WARN")
    with caplog.at_level(logging.WARNING, "crm_graph.documents"):
        for _ in range(12):
            await desk.run({"query": OTHER}, desk.web)
        await desk.run({"query": WHO}, desk.web)
        await desk.run({"query": "{ __typename }"}, desk.web)
    said = f"untrusted document: operation Other, sha256:{sha256(OTHER)}, client 'web', number"
    assert [record.getMessage() for record in caplog.records] == [
        f"{said} 1 in this process",
        f"{said} 10 in this process",
        f"untrusted document: operation (anonymous), sha256:{sha256('{ __typename }')}, client 'web',"
        " number 1 in this process",
    ]
    assert desk.graph.engine.trusted.noted == {("web", sha256(OTHER)): 12, ("web", sha256("{ __typename }")): 1}


@pytest.mark.parametrize(("mode", "runs"), [("open", True), ("warn", True), ("trusted-only", False)])
async def test_the_installation_s_mode_is_for_tokens_without_a_client(
    database_url: str, schema: BuiltSchema, mode: str, runs: bool
) -> None:
    async with savepoint(database_url) as database:
        desk = await Desk.of(Graph(schema, database, Settings.from_environment({"CRM_DOCUMENT_MODE": mode})))
        await desk.push(document())
        assert set(await desk.run({"query": WHO})) == {"viewer"}
        assert set(await desk.run({"query": OTHER}, desk.web)) == {"__typename"}
        if runs:
            await desk.run({"query": OTHER})
        else:
            await desk.refused(DocumentNotFound, {"query": OTHER})


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(OperatorError, match="CRM_DOCUMENT_MODE='closed' is unknown"):
        Settings.from_environment({"CRM_DOCUMENT_MODE": "closed"})


async def test_a_client_s_documents_are_its_own(desk: Desk) -> None:
    await desk.push(document(WHO, MD5), client=True)
    await desk.run({"doc_id": MD5}, desk.web)
    for claims in (desk.claims, await desk.graph.claims("admin", "other")):
        await desk.refused(DocumentNotFound, {"doc_id": MD5}, claims)
        await desk.refused(DocumentNotFound, {"documentId": f"sha256:{sha256(WHO)}"}, claims)


async def test_a_client_s_own_id_comes_before_the_workspace_s(desk: Desk) -> None:
    await desk.push(document(WHO, "x"), client=True)
    await desk.push(document(OTHER, "x"))
    assert set(await desk.run({"doc_id": "x"}, desk.web)) == {"viewer"}
    assert set(await desk.run({"doc_id": "x"})) == {"__typename"}


async def test_a_hash_comes_before_an_id_that_looks_like_it(desk: Desk) -> None:
    await desk.push(document(WHO), document(OTHER, sha256(WHO)))
    assert set(await desk.run(apollo(sha256(WHO)))) == {"viewer"}


async def test_it_is_authorised_as_any_other(desk: Desk) -> None:
    source = "query Deals { opportunities { totalCount } }"
    await desk.push(NewDocument(sha256(source), source, ("Deals",), ("deals",)))
    deals = (await desk.run({"id": "deals"}))["opportunities"]["totalCount"]
    assert deals == await desk.graph.value(
        "SELECT count(*) FROM opportunity WHERE workspace_id = $1", desk.claims.workspace_id
    )
    support = await desk.graph.claims("support_agent")
    assert (await desk.run({"id": "deals"}, support))["opportunities"]["totalCount"] == 0


async def test_its_variables_are_checked(desk: Desk) -> None:
    source = "query One($id: ID!) { opportunity(id: $id) { name } }"
    await desk.push(NewDocument(sha256(source), source, ("One",), ("one",)))
    request = GraphQLRequest(None, document_id="one")
    operation = await desk.graph.engine.admission.operation(request, desk.claims)
    answer = await desk.graph.engine.execute(request, operation, desk.claims)
    assert (answer.request_error, answer.code) == (True, "BAD_USER_INPUT")


async def test_validation_is_skipped_under_the_schema_it_was_pushed_with_and_no_other(desk: Desk) -> None:
    """What was pushed is trusted to be valid; after another version came, it is validated once in each process."""
    invalid = "query Gone { viewer { gone } }"
    await desk.push(NewDocument(sha256(invalid), invalid, ("Gone",), ("gone",)))
    operation = await desk.graph.engine.admission.operation(GraphQLRequest(None, document_id="gone"), desk.claims)
    assert operation.definition.name is not None
    assert operation.definition.name.value == "Gone"
    assert await desk.refused(DocumentError, {"query": invalid}) == "VALIDATION_FAILED"
    await desk.push(NewDocument(sha256(invalid), invalid, ("Gone",), ("gone",)), schema="of another version")
    desk.now += 5
    assert await desk.refused(DocumentError, {"id": "gone"}) == "VALIDATION_FAILED"


@pytest.mark.parametrize(
    "source",
    [
        "query A { " + "viewer { member { team { " * 5 + "id" + " }" * 16,
        "{" + " a" * 2_100 + "}",
        "{ __typename }" + "#" * 70_000,
        "{ " + "".join(f"a{number}: __typename " for number in range(40)) + "}",
    ],
    ids=["depth", "tokens", "bytes", "aliases"],
)
async def test_the_limits_hold(desk: Desk, source: str) -> None:
    await desk.push(NewDocument(sha256(source), source, ("A",), ("a",)))
    assert await desk.refused(DocumentError, {"id": "a"}) == "COST_LIMIT_EXCEEDED"


async def test_finding_it_costs_no_statement_until_it_is_old(desk: Desk) -> None:
    await desk.push(document(WHO, MD5), client=True)
    await desk.mode("TRUSTED_ONLY")
    sent = desk.graph.database.one.sent

    async def statements(body: Mapping[str, object], claims: Claims) -> int:
        sent.clear()
        await desk.graph.engine.admission.operation(parse_request(dict(body)), claims)
        return len(sent)

    assert [await statements({"id": MD5}, desk.web) for _ in range(3)] == [2, 0, 0]
    assert [await statements({"query": WHO}, desk.web) for _ in range(3)] == [1, 0, 0]
    assert [await statements({"query": OTHER}, desk.claims) for _ in range(2)] == [0, 0]
    desk.now += 5
    assert [await statements({"id": MD5}, desk.web) for _ in range(2)] == [2, 0]


async def test_what_is_removed_is_out_when_the_cache_is_old(desk: Desk) -> None:
    await desk.push(document(WHO, MD5), document(OTHER))
    await desk.run({"id": MD5})
    assert await desk.remove(MD5) == [sha256(WHO)]
    desk.now += 4.9
    await desk.run({"id": MD5})
    desk.now += 0.1
    await desk.refused(DocumentNotFound, {"id": MD5})
    assert await desk.graph.rows("SELECT sha256 FROM trusted_document") == [(sha256(OTHER),)]
    assert await desk.graph.value("SELECT count(*) FROM trusted_document_alias") == 0


async def test_what_is_pushed_is_found_within_a_second(desk: Desk) -> None:
    await desk.refused(DocumentNotFound, {"id": MD5})
    await desk.push(document(WHO, MD5))
    desk.now += 1
    assert set(await desk.run({"id": MD5})) == {"viewer"}


async def test_a_deleted_client_s_tokens_stop_working(desk: Desk) -> None:
    await desk.push(document(WHO, MD5), client=True)
    await desk.run({"id": MD5}, desk.web)
    context = await desk.graph.engine.contexts.read(desk.claims)
    async with context.begin() as work:
        await delete_api_client(work, desk.client_id, None)
    desk.now += 5
    for body in ({"id": MD5}, {"query": WHO}):
        await desk.refused(Unauthenticated, body, desk.web)
        with pytest.raises(Unauthenticated):
            await desk.graph.engine.trusted.check(parse_request(dict(body)), desk.web)
    assert await desk.graph.value("SELECT count(*) FROM trusted_document") == 0


async def test_a_client_of_another_workspace_is_none(desk: Desk) -> None:
    other = await desk.graph.claims("admin", "other")
    await desk.refused(Unauthenticated, {"query": WHO}, replace(other, client_id=desk.client_id))


async def test_a_database_that_is_away_is_the_edges_to_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> Any:
        raise ConnectionError("no route")

    monkeypatch.setattr("crm_graph.api.documents.trusted.find_client", away)
    assert await desk.refused(ConnectionError, {"query": WHO}, desk.web) == "no route"


async def test_pushing_again_changes_nothing(desk: Desk) -> None:
    one, two = document(WHO, MD5), document(OTHER)
    assert await desk.push(one, two) == Pushed((one.sha256, two.sha256), (), ())
    before = await desk.graph.rows("SELECT * FROM trusted_document ORDER BY id")
    assert await desk.push(one, two) == Pushed((), (), (one.sha256, two.sha256))
    assert await desk.graph.rows("SELECT * FROM trusted_document ORDER BY id") == before
    assert await desk.push(document(WHO, MD5, "who")) == Pushed((), (one.sha256,), ())
    events = await desk.graph.rows("SELECT type, data FROM event WHERE entity = 'TrustedDocument' ORDER BY seq")
    assert [tuple(row) for row in events] == [("TrustedDocumentAdded", {"sha256": each.sha256}) for each in (one, two)]


async def test_an_id_never_changes_what_it_means(desk: Desk) -> None:
    await desk.push(document(WHO, "who"))
    with pytest.raises(Refused, match="names another document already"):
        await desk.push(document("{ __typename }"), document(OTHER, "who"))
    assert await desk.graph.rows("SELECT sha256 FROM trusted_document") == [(sha256(WHO),)], "all, or nothing"


async def test_removing_what_is_not_there_removes_nothing(desk: Desk) -> None:
    await desk.push(document(WHO, MD5))
    for ids in ((MD5, "unknown"), (MD5, f"sha256:{sha256(OTHER)}")):
        with pytest.raises(Refused, match="There is no trusted document"):
            await desk.remove(*ids)
    with pytest.raises(Refused):
        await desk.remove(MD5, client=True)
    assert await desk.graph.value("SELECT count(*) FROM trusted_document") == 1


async def test_only_who_may_change_clients_may_trust(desk: Desk) -> None:
    context = await desk.graph.engine.contexts.read(await desk.graph.claims("sales_manager"))
    with pytest.raises(Forbidden):
        async with context.begin() as work:
            await push_documents(work, None, [document()], "x")
    with pytest.raises(Forbidden):
        async with context.begin() as work:
            await remove_documents(work, None, [MD5])
    assert await desk.graph.value("SELECT count(*) FROM trusted_document") == 0
