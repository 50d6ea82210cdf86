"""The file of an export is for whoever sees by now all that it was made from, by the credential that they ask with; and
a job is done with the rights of who asked for it last, at the moment that it reads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest

from crm_graph.domains.platform.jobs.operations import cancel_job, requeue_job
from crm_graph.identity.viewer import Viewer
from crm_graph.permissions.access import Access, compile_access
from crm_graph.permissions.definitions import parse_role
from crm_graph.permissions.sight import sees_all, sight_of
from tests.jobs.desk import Desk, running
from tests.support import plain
from tests.support.graph import Graph
from tests.support.server import RunningServer, crm_graph, running_server

EXPORT = "mutation($input: ExportRecordsInput!) { done: exportRecords(input: $input) { job { id } errors { code } } }"
JOB = "query($id: ID!) { job(id: $id) { status error } }"
ME = "{ viewer { member { id } } }"
SET_ROLES = """mutation ($id: ID!, $roles: [String!]!) {
    done: setMemberRoles(input: {id: $id, roles: $roles}) { errors { code } } }"""
ROLE = "mutation ($input: UpdateRoleInput!) { done: updateRole(input: $input) { errors { code message } } }"
RESET = 'mutation { done: deleteRole(input: {name: "sales_manager"}) { errors { code } } }'
CLIENT = """mutation ($input: CreateApiClientInput!) {
    done: createApiClient(input: $input) { apiClient { id } errors { code } } }"""
BOUND = """mutation ($id: ID!, $roles: [String!]) {
    done: updateApiClient(input: {id: $id, memberRoles: $roles}) { errors { code } } }"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A real `crm-graph dev`."""
    with running_server(tmp_path_factory.mktemp("files") / "data") as server:
        yield server


def ask(server: RunningServer, source: str, token: str | None = None, **variables: Any) -> Any:
    headers = server.headers if token is None else {"Authorization": f"Bearer {token}"}
    body = {"query": source, "variables": variables}
    answer = plain.post(server.address, json=body, headers=headers, timeout=30).json()
    assert "errors" not in answer, answer
    found = answer["data"]
    assert not (found.get("done") or {}).get("errors"), found
    return found


def token(server: RunningServer, *options: str) -> str:
    found = crm_graph("token", *options, "--data", str(server.data))
    assert found.returncode == 0, found.stderr
    return found.stdout.split()[-1]


def exported(server: RunningServer, by: str, type_: str = "Customer") -> str:
    """Export as somebody; return the address of the file."""
    id_: str = ask(server, EXPORT, by, input={"type": type_})["done"]["job"]["id"]
    until = time.monotonic() + 60
    while (job := ask(server, JOB, by, id=id_)["job"])["status"] != "DONE":
        assert time.monotonic() < until, job
        assert job["status"] != "FAILED", job
        time.sleep(0.1)
    return f"http://127.0.0.1:{server.port}/exports/{id_}"


def fetched(url: str, by: str) -> tuple[int, str]:
    """Return status and code of asking for a file."""
    got = plain.get(url, headers={"Authorization": f"Bearer {by}"}, timeout=30)
    return got.status_code, "" if got.status_code == 200 else got.json()["error"]["code"]


REFUSED = (403, "FORBIDDEN")


def test_a_member_who_lost_the_role_does_not_get_the_file(server: RunningServer) -> None:
    rep = token(server, "--role", "sales_manager")
    member = ask(server, ME, rep)["viewer"]["member"]["id"]
    url = exported(server, rep)
    assert fetched(url, rep) == (200, "")
    for roles, answer in (
        (["analyst"], REFUSED),
        (["analyst", "sales_manager"], (200, "")),
        (["admin"], (200, "")),
        ([], (404, "NOT_FOUND")),
        (["sales_manager"], (200, "")),
    ):
        ask(server, SET_ROLES, id=member, roles=roles)
        assert fetched(url, rep) == answer, roles


def test_a_field_that_is_hidden_since_is_in_no_file(server: RunningServer) -> None:
    rep = token(server, "--role", "sales_manager")
    url = exported(server, rep)
    kept = [{"verb": verb, "scope": "OWN"} for verb in ("read", "create")]
    see = [{"type": name, "verbs": [{"verb": "read", "scope": "ALL"}]} for name in ("Member", "Team")]
    job = {"type": "Job", "default": "READ", "verbs": kept}
    for change, answer in (
        ({"verbs": [{"verb": verb, "scope": "ALL"} for verb in ("read", "export")]}, (200, "")),
        ({"verbs": [{"verb": verb, "scope": "TEAM"} for verb in ("read", "export")]}, REFUSED),
        ({"verbs": [{"verb": "read", "scope": "ALL"}]}, REFUSED),
        (
            {
                "verbs": [{"verb": verb, "scope": "ALL"} for verb in ("read", "export")],
                "fields": [{"field": "city", "level": "NONE", "scope": "ALL"}],
            },
            REFUSED,
        ),
    ):
        grants = [{"type": "Customer", "default": "READ", **change}, *see, job]
        ask(server, ROLE, input={"name": "sales_manager", "grants": grants})
        assert fetched(url, rep) == answer, change
    ask(server, RESET)
    assert fetched(url, rep) == (200, "")


def test_who_takes_a_file_with_sensitive_fields_is_in_the_audit_trail(server: RunningServer) -> None:
    """As who had it made is: another one who fetches it reads the same."""
    me = ask(server, ME)["viewer"]["member"]["id"]
    all_ = [{"verb": "read", "scope": "ALL"}]
    see = [{"type": name, "verbs": all_} for name in ("Member", "Team", "Job")]
    mine = {"type": "Job", "default": "READ", "verbs": [*all_, {"verb": "create", "scope": "OWN"}]}
    phone = {"field": "phone", "level": "READ", "scope": "ALL", "audited": True}
    both = [*all_, {"verb": "export", "scope": "ALL"}]
    customer = {"type": "Customer", "default": "READ", "verbs": both, "fields": [phone]}
    ask(server, ROLE, input={"name": "sales_manager", "grants": [customer, *see[:2], mine]})
    try:
        url = exported(server, token(server, "--role", "sales_manager"))
    finally:
        ask(server, RESET)
    plain = exported(server, server.token, "Product")
    asked = """query ($me: ID!) { auditEntries(where: {type: {eq: "SensitiveFieldsRead"}, actorId: {eq: $me}}) {
        nodes { fields address requestId } } }"""
    assert ask(server, asked, me=me)["auditEntries"]["nodes"] == []
    for each in (url, plain):
        assert httpx.head(each, headers={"Authorization": f"Bearer {server.token}"}).status_code == 200
        assert fetched(each, server.token) == (200, "")
    until = time.monotonic() + 30
    while not (found := ask(server, asked, me=me)["auditEntries"]["nodes"]):
        assert time.monotonic() < until
        time.sleep(0.1)
    (entry,) = found
    assert (entry["fields"], entry["address"]) == (["Customer.phone"], "127.0.0.1")


def test_a_client_that_is_bound_to_fewer_roles_does_not_get_the_file(server: RunningServer) -> None:
    """The same member, their job in sight: the credential decides."""
    rep = token(server, "--role", "sales_manager")
    member = ask(server, ME, rep)["viewer"]["member"]["id"]
    ask(server, SET_ROLES, id=member, roles=["analyst", "sales_manager"])
    client = ask(server, CLIENT, input={"name": "bound", "memberRoles": ["analyst"]})["done"]["apiClient"]["id"]
    email = ask(server, "{ viewer { member { email } } }", rep)["viewer"]["member"]["email"]
    bound = token(server, "--email", email, "--client", "bound")
    url, own = exported(server, rep), exported(server, bound)
    assert [fetched(url, by) for by in (rep, bound, server.token)] == [(200, ""), REFUSED, (200, "")]
    assert [fetched(own, by) for by in (rep, bound, server.token)] == [(200, "")] * 3
    ask(server, BOUND, id=client, roles=["analyst", "sales_manager"])
    assert fetched(url, bound) == (200, "")
    ask(server, BOUND, id=client, roles=["analyst"])
    assert fetched(url, bound) == REFUSED
    ask(server, SET_ROLES, id=member, roles=["sales_manager"])


SEEING: Mapping[str, Mapping[str, Any]] = {
    "all": {"read": "ALL", "default": "READ"},
    "team": {"read": "TEAM", "default": "READ"},
    "own": {"read": "OWN", "default": "READ"},
    "masked": {"read": "ALL", "default": "READ", "fields": {"phone": ["MASKED ALL"]}},
    "own phone": {"read": "ALL", "default": "READ", "fields": {"phone": ["READ OWN", "MASKED ALL"]}},
    "no phone": {"read": "ALL", "default": "READ", "fields": {"phone": ["NONE ALL"]}},
    "nothing": {},
}
COVERED = {
    "all": set(SEEING),
    "team": {"team", "own", "nothing"},
    "own": {"own", "nothing"},
    "masked": {"masked", "no phone", "nothing"},
    "own phone": {"own phone", "own", "masked", "no phone", "nothing"},
    "no phone": {"no phone", "nothing"},
    "nothing": {"nothing"},
}
"""By what is granted now: the sights, by what was granted then, that it covers for the same member."""


def _access(graph: Graph, name: str) -> Access:
    grants = {"Customer": SEEING[name]} if SEEING[name] else {}
    return compile_access([parse_role("x", grants)], graph.schema.policies, graph.schema.vocabulary.inherent)


@pytest.mark.parametrize("now", SEEING)
async def test_what_covers_a_sight(graph: Graph, now: str) -> None:
    """A table of what is seen then and now; for somebody else, only what is seen of all rows covers anything."""
    viewer = Viewer("w", "me", (), ("me", "colleague"), teams=("team",))
    smaller = replace(viewer, circle=("me",))
    reads = {"Customer": {"name", "phone"}}
    access = _access(graph, now)
    for then in SEEING:
        sight = sight_of(_access(graph, then), viewer, reads)
        assert sees_all(access, viewer, sight) is (then in COVERED[now]), (then, now)
        by_all = (then in COVERED[now] and now in {"all", "masked", "no phone"}) or then == "nothing"
        if now != "own phone":
            assert sees_all(access, replace(viewer, member_id="other"), sight) is by_all, (then, now)
        assert sees_all(access, smaller, sight) is by_all or now == "own phone"


async def test_a_job_that_is_queued_again_is_of_who_asks_for_that(desk: Desk) -> None:
    """An administrator's export, called off and queued again by a representative, is theirs from then on."""
    id_ = await desk.queue("exportRecords", "admin", type="AuditEntry", format="csv")
    async with desk.work("admin") as work:
        await cancel_job(work, id_, None)
    rep = await desk.claims("sales_manager")
    grants = {"Job": {"read": "ALL", "update": "ALL", "default": "READ"}}
    await desk.rows(
        "INSERT INTO role (workspace_id, id, name, grants, version, created_at, updated_at)"
        " VALUES ($1, gen_random_uuid(), 'operator', $2, 1, now(), now()) RETURNING 1",
        *(rep.workspace_id, grants),
    )
    await desk.rows(
        "INSERT INTO member_role (workspace_id, member_id, role) VALUES ($1, $2, 'operator') RETURNING 1",
        *(rep.workspace_id, rep.member_id),
    )
    async with desk.work("operator") as work:
        await requeue_job(work, id_, None, 100)
    row = await desk.job(id_)
    assert (row["created_by_id"], row["client_id"]) == (rep.member_id, None)
    async with running(desk.product_worker()):
        row = await desk.until(id_, lambda job: job["status"] in {"FAILED", "DONE"})
    assert (row["status"], row["error"]) == ("FAILED", "Your roles do not allow to read AuditEntry records.")
    assert await desk.rows("SELECT 1 FROM job_sight") == []


async def test_queueing_again_counts_as_queueing(desk: Desk) -> None:
    ids = [await desk.queue("odd", "sales_manager") for _ in range(3)]
    async with desk.work("sales_manager") as work:
        await cancel_job(work, ids[0], None)
    with pytest.raises(Exception, match="2 jobs under way"):
        async with desk.work("sales_manager") as work:
            await requeue_job(work, ids[0], None, 2)


async def test_a_sight_is_of_the_run_that_made_the_file(desk: Desk) -> None:
    id_ = await desk.queue("exportRecords", "sales_manager", type="Customer", format="csv")
    async with running(desk.product_worker()):
        row = await desk.until(id_, lambda job: job["status"] in {"FAILED", "DONE"})
    assert row["status"] == "DONE", row["error"]
    ((run, sight),) = await desk.rows("SELECT run, sight FROM job_sight WHERE job_id = $1", id_)
    assert run == row["run"]
    assert sight["member"] == row["created_by_id"]
    assert {"Customer", "Member"} <= set(sight["types"])
