"""A member has one access, whichever door they take: the API and the command line export the same file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from crm_graph.permissions.roles import BUILT_IN
from tests.jobs.test_rights_of_files import ROLE, ask, exported, token
from tests.support import plain
from tests.support.server import RunningServer, crm_graph, running_server

RESET = "mutation ($name: String!) { done: deleteRole(input: {name: $name}) { errors { code } } }"
ALL = [{"verb": verb, "scope": "ALL"} for verb in ("read", "export")]
EXPORTING = ("admin", "sales_manager", "analyst", "integration")
JOB = {"type": "Job", "default": "READ", "verbs": [*ALL, {"verb": "create", "scope": "OWN"}]}
DEFINED: dict[str, Sequence[dict[str, Any]]] = {
    "hides what it may": [{"type": name, "default": "NONE", "verbs": ALL} for name in ("Customer", "Team", "Member")],
    "masks what it may": [{"type": name, "default": "MASKED", "verbs": ALL} for name in ("Customer", "Member")],
    "sees no owner": [{"type": "Customer", "default": "READ", "verbs": ALL}],
}
"""Grants of roles of one's own. Fields that are non-null come with their object, whatever the default is."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A real `crm-graph dev`."""
    with running_server(tmp_path_factory.mktemp("same") / "data") as server:
        yield server


def both(server: RunningServer, role: str) -> tuple[str, str]:
    """Return the file of all customers that the first member with a role gets by the API, and by the command line."""
    bearer = token(server, "--role", role)
    answer = plain.get(exported(server, bearer), headers={"Authorization": f"Bearer {bearer}"}, timeout=30)
    assert answer.status_code == 200, answer.text
    done = crm_graph("export", "customer", "--role", role, "--data", str(server.data))
    assert done.returncode == 0, done.stderr
    return answer.text, done.stdout


@pytest.mark.parametrize("role", [role for role in EXPORTING if role != "integration"])
def test_a_built_in_role_exports_the_same(server: RunningServer, role: str) -> None:
    by_api, by_command = both(server, role)
    assert len(by_api.splitlines()) > 1
    assert by_command.splitlines() == by_api.splitlines()


@pytest.mark.parametrize("role", [role for role in BUILT_IN if role not in EXPORTING])
def test_who_only_reads_exports_by_no_door(server: RunningServer, role: str) -> None:
    """The file of all that a representative may read is what leaves with them."""
    source = 'mutation { exportRecords(input: {type: "Customer", format: CSV}) { errors { code } } }'
    headers = {"Authorization": f"Bearer {token(server, '--role', role)}"}
    answer = plain.post(server.address, json={"query": source}, headers=headers, timeout=30).json()
    refused = "Your roles do not allow to export Customer records."
    assert [(each["extensions"]["code"], each["message"]) for each in answer["errors"]] == [("FORBIDDEN", refused)]
    done = crm_graph("export", "customer", "--role", role, "--data", str(server.data))
    assert done.returncode != 0
    assert refused in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("name", DEFINED)
def test_a_role_of_one_s_own_exports_the_same(server: RunningServer, name: str) -> None:
    """The command line left out the fields that come with their object where the role's default hides the others."""
    ask(server, ROLE, input={"name": "analyst", "grants": [*DEFINED[name], JOB]})
    try:
        by_api, by_command = both(server, "analyst")
    finally:
        ask(server, RESET, name="analyst")
    head, *rows = by_api.splitlines()
    assert rows
    assert "name" in head.split(",")
    assert by_command.splitlines() == [head, *rows]
