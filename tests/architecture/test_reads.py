"""Every read of rows goes through the permission compiler."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "crm_graph"

FUNCTIONS = {"select", "exists", "text"}
ROWS = "rows_of"
ALLOWED = {
    "graph/": "the toolkit; its reads are built on `View`, which `test_views_only` holds",
    "permissions/policy.py": "predicates of policies",
    "db/": "knows no entity",
    "events/": "the log, cut when it is delivered",
    "api/lags.py": "ages of what waits in queues, for the operator",
    "jobs/timers.py": "knows no entity; what is due, for the worker",
    "api/webhooks/": "the queue of deliveries, and events that are judged before they are told",
    "identity/secrets.py": "the installation's own table",
    "identity/rsa_keys.py": "the installation's own table",
    "identity/endings.py": "writes what an operation ends, for rows that it has locked under the compiled predicates",
    "idempotency/": "answers that were kept for the very member and client who ask",
    "vault/": "wrapped keys, and what is encrypted while it is encrypted anew; knows no entity",
    "coherence.py": "rules over rows that were looked up under the compiled predicates; told as a refusal",
    "chains.py": "what is above a row that was locked under the compiled predicates; told to nobody",
    "statements.py": "locks rows under the compiled predicates",
    "valuing.py": "rates, by which amounts are kept beside others; and which rows to value again, for the worker",
    "work.py": "moves the version of a workspace's directory",
    "demo/": "writes a new workspace",
    "cli/": "the operator, who owns the database",
    "transfer/": "imports under the compiled predicates; see its own tests",
    "domains/customers/contacts/policy.py": "a predicate of a policy",
    "api/transport/exports.py": "parts of the file of a job that was read under permissions",
    "domains/marketing/campaigns/operations.py": "whether somebody unsubscribed who was looked up under the predicates",
    "domains/sales/opportunities/lines.py": "the state of the deal whose line was locked under the compiled predicates",
    "domains/platform/jobs/operations.py": "counts a member's own jobs",
    "domains/platform/jobs/running.py": "the worker, which acts on jobs that it was given",
    "domains/platform/jobs/keeping.py": "the worker, which removes what is over",
    "domains/platform/jobs/erasing.py": "files of a workspace whose person is erased; told to nobody",
    "domains/platform/jobs/purging.py": "the worker, which removes what is over; told to nobody",
    "domains/identity/accounts/directory.py": "finds the viewer, before there are permissions",
    "domains/identity/accounts/credentials.py": "a member's own, which no role reads",
    "domains/identity/accounts/invitations.py": "whoever shows a link is not a viewer yet",
    "domains/identity/accounts/links.py": "whoever shows a link is not a viewer yet",
    "domains/identity/accounts/meter.py": "counters of whoever is not a viewer yet",
    "domains/identity/accounts/operations.py": "a member's own sessions, which no role reads",
    "domains/identity/accounts/outbox.py": "the queue, read by no member",
    "domains/identity/accounts/resets.py": "whoever asks for a reset is not a viewer yet",
    "domains/identity/accounts/second_factor.py": "a member's own, which no role reads",
    "domains/identity/accounts/sessions.py": "whoever shows a refresh token is not a viewer yet; a member's own",
    "domains/identity/accounts/session_rows.py": "whoever signs in is not a viewer yet; a member's own",
    "domains/identity/accounts/browsers.py": "whoever shows a cookie is not a viewer yet",
    "domains/identity/accounts/sign_in.py": "whoever signs in is not a viewer yet",
    "domains/identity/providers/directory.py": "the gate before a request has a viewer",
    "domains/identity/providers/bearer.py": "finds whose a token is, before there are permissions",
    "domains/identity/providers/provisioning.py": "finds who signs in, before there are permissions",
    "domains/identity/providers/operations.py": "names that a configuration may use, and the secret that nobody reads",
    "domains/identity/clients/directory.py": "the operator's commands",
    "domains/identity/clients/documents.py": "the gate before a request has a viewer, and the operator's commands",
    "domains/identity/clients/operations.py": "counts the keys of a client that was read under permissions",
    "domains/platform/webhooks/operations.py": "counts endpoints, and the secret that nobody reads",
    "domains/platform/webhooks/rules.py": "the definitions of the roles that an endpoint has",
    "domains/identity/clients/keys.py": "verifies an API key, before there is a viewer",
    "domains/identity/authorizations/apps.py": "whom a request to the authorization server names",
    "domains/identity/authorizations/codes.py": "codes of the authorization server, shown as a credential",
    "domains/identity/authorizations/devices.py": "devices that wait for a member; shown to whoever has the code",
    "domains/identity/authorizations/consents.py": "what a member let apps do: their own rows alone",
    "domains/workspace/workspaces/directory.py": "the operator's commands",
    "domains/workspace/workspaces/operations.py": "the operator's commands, and the workspace's own currency",
    "domains/workspace/rates/operations.py": "the rate of a day, which `revise` then locks under permissions",
    "domains/workspace/members/addresses.py": "where an address is known, before there is a viewer; told to nobody",
    "domains/workspace/members/reach.py": "the organisation, to judge a change of it; told to nobody",
    "domains/workspace/members/operations.py": "roles of a member that was read under permissions; the last admin",
    "domains/customers/customers/policy.py": "a predicate of a policy",
    "domains/identity/clients/policy.py": "the power of a client, to hold a writer to it; told to nobody",
    "domains/workspace/members/roles.py": "the definitions of roles, for administrators",
    "domains/workspace/members/teams.py": "the tree above a team, to refuse circles",
    "domains/sales/pipelines/operations.py": "the stages beside one that may be changed",
    "domains/sales/opportunities/operations.py": "the first stage, which `refer` then reads under permissions",
    "domains/orders/orders/operations.py": "counters and lines of an order that was read under permissions",
    "domains/orders/orders/lines.py": "lines of an order that was read under permissions",
    "domains/service/tickets/operations.py": "the counter of the workspace",
}


def violations(source: str) -> Iterator[str]:
    """Yield the calls that read tables. The attack: a `select(customer)` in a resolver answers what nobody granted."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            if name in FUNCTIONS and isinstance(function, ast.Name):
                yield f"line {node.lineno}: {name}(...)"
            if name == "Statement":
                yield f"line {node.lineno}: Statement(...)"


def test_nobody_reads_around_the_compiler() -> None:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if name.endswith("/model.py"):
            continue  # declares tables; `text` there is the expression of an index
        if not any(name == allowed or (allowed.endswith("/") and name.startswith(allowed)) for allowed in ALLOWED):
            found += [f"{name}: {violation}" for violation in violations(path.read_text())]
    assert found == []


def test_no_graph_file_of_a_domain_reads() -> None:
    for path in SOURCE.glob("domains/**/graph*/**/*.py"):
        assert list(violations(path.read_text())) == [], path
    for path in SOURCE.glob("domains/*/*/graph.py"):
        assert list(violations(path.read_text())) == [], path


def test_views_only() -> None:
    """In the toolkit a table is named in one place, the view; everything else takes its rows from there."""
    named = {
        path.name
        for path in (SOURCE / "graph").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr == "alias")
        or (isinstance(node, ast.Name) and node.id == ROWS)
    }
    # `judging.py` takes the old image of a row, under a view; `related.py` rows to read off what a view asks of them;
    # `worlds.py` a table as it was, in place of one that a view has named.
    assert named == {"views.py", "judging.py", "related.py", "worlds.py"}


def test_the_lint_sees_what_it_is_for() -> None:
    assert list(violations("from sqlalchemy import select\nrows = select(customer)")) == ["line 2: select(...)"]
    assert list(violations("FIND = Statement('SELECT 1', (), {})")) == ["line 1: Statement(...)"]
    assert list(violations("from x import y\ny.selection()")) == []


def test_advisory_locks_are_for_one_thing_each() -> None:
    """Two uses of one number would wait for each other: a migration for ever, while a server runs."""
    numbers = [
        number for path in SOURCE.rglob("*.py") for number in re.findall(r"\b7_226_101_\d{3}\b", path.read_text())
    ]
    assert numbers
    assert len(numbers) == len(set(numbers)), sorted(numbers)
