"""An import writes what decides rights as the mutations do: within what its member may do themselves."""

from __future__ import annotations

import pytest

from crm_graph.cli.data.steps import Options, step_of
from crm_graph.kernel.ids import new_id
from tests.transfer.desk import ADMIN, Desk

CLERK = "clerk@desk.example"
WHOLE = {"read": "ALL", "create": "ALL", "update": "ALL", "delete": "ALL", "default": "WRITE", "setRoles": "ALL"}


@pytest.fixture
async def clerk(desk: Desk) -> str:
    """The address of a member of the team East, below which is Harbour, who may do all with members and teams; the
    administrator's team is Head, above. Others are clerks too, Rep in Harbour and Ann in West, and Boss, who was
    dismissed."""
    await desk.rows(
        "INSERT INTO role (workspace_id, id, name, grants, version, created_at, updated_at)"
        " VALUES ($1, $2, 'clerk', $3, 1, now(), now())",
        *(new_id(), {"Member": WHOLE, "Team": WHOLE}),
    )
    for name, email, role in (
        ("Clerk", CLERK, "clerk"),
        ("Rep", "rep@desk.example", "clerk"),
        ("Boss", "boss@desk.example", "admin"),
        ("Ann", "ann@desk.example", "clerk"),
    ):
        await desk.member(name, email, role)
    teams = "name,parent,manager\nHead,,admin@desk.example\nEast,Head,\nHarbour,East,\nWest,Head,\n"
    assert (await desk.load("team", teams)).inserted == 4
    places = f"email,name,team\n{ADMIN},Admin,Head\n{CLERK},Clerk,East\nrep@desk.example,Rep,Harbour\n"
    assert (await desk.load("member", f"{places}ann@desk.example,Ann,West\n")).updated == 4
    await desk.rows(
        "INSERT INTO member_role SELECT workspace_id, id, 'analyst' FROM member WHERE workspace_id = $1 AND email = $2",
        CLERK,
    )
    await desk.rows("UPDATE member SET status = 'SUSPENDED' WHERE workspace_id = $1 AND name = 'Boss'")
    return CLERK


BEYOND = "This would give somebody records, or take records from somebody, that you do not reach yourself"
MORE = "This member reaches records of people whom you do not reach"
ROLES = "You cannot give or take roles that you do not hold"
REFUSED = {
    "one's own team": ("member", f"email,name,team\n{CLERK},Clerk,Head\n", "team", BEYOND),
    "another's team": ("member", "email,name,team\nrep@desk.example,Rep,West\n", "team", BEYOND),
    "a new member's team": ("member", "email,name,team,roles\nx@x.example,X,West,\n", "roles", "is needed"),
    "an administrator's team": ("member", f"email,name,team\n{ADMIN},Admin,East\n", "team", BEYOND),
    "roles of who reaches more": ("member", "email,name,roles\nann@desk.example,Ann,analyst\n", "roles", MORE),
    "a new administrator": ("member", "email,name,roles\nx@x.example,X,admin\n", "roles", ROLES),
    "one's own roles": ("member", f"email,name,roles\n{CLERK},Clerk,admin\n", "roles", ROLES),
    "a dismissed administrator": ("member", "email,name,status\nboss@desk.example,Boss,ACTIVE\n", "", ROLES),
    "an administrator's manager": ("member", f"email,name,manager\n{ADMIN},Admin,{CLERK}\n", "manager", ROLES),
    "a team above": ("team", f"name,manager\nHead,{CLERK}\n", "manager", BEYOND),
    "a team beside": ("team", "name,parent\nWest,East\n", "parent", BEYOND),
}


@pytest.mark.parametrize(("entity", "content", "column", "reason"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_beyond_the_importer_is_an_error_of_its_row(
    desk: Desk, clerk: str, entity: str, content: str, column: str, reason: str
) -> None:
    events = await desk.events()
    report = await desk.load(entity, content, email=clerk)
    assert (report.error_count, report.errors[0].row) == (1, 2), report.errors
    assert report.errors[0].column == column
    assert reason in report.errors[0].reason
    assert await desk.events() == events
    by_operator = await desk.load(entity, content)
    assert (reason == "is needed") == bool(by_operator.error_count), by_operator.errors


async def test_what_is_within_is_imported(desk: Desk, clerk: str) -> None:
    report = await desk.load("member", "email,name,team\nrep@desk.example,Rep,East\n", email=clerk)
    assert (report.updated, report.error_count) == (1, 0), report.errors
    report = await desk.load("team", "name,parent,manager\nPier,Harbour,rep@desk.example\n", email=clerk)
    assert (report.inserted, report.error_count) == (1, 0), report.errors


async def test_rows_of_one_file_do_not_add_up_to_more(desk: Desk, clerk: str) -> None:
    """A team of one's own is nobody's reach while it is empty; what is then moved below it is."""
    report = await desk.load("team", f"name,parent,manager\nMine,,{CLERK}\nWest,Mine,\n", email=clerk)
    assert [(error.row, error.column) for error in report.errors] == [(3, "parent")]
    assert await desk.value("SELECT count(*) FROM team WHERE workspace_id = $1 AND name = 'Mine'") == 0


async def test_what_was_refused_is_refused_again_where_bad_rows_are_skipped(desk: Desk, clerk: str) -> None:
    """The organisation that is judged by goes on from what was allowed, and from nothing else."""
    step = step_of("team", desk.file("name,parent\nWest,East\n"))
    reports = await desk.run([step, step], Options(None, clerk, dry_run=False, skip_errors=True))
    assert [(report.updated, report.error_count) for report in reports] == [(0, 1), (0, 1)]


async def test_a_name_that_comes_with_its_object_can_be_referred_by(desk: Desk) -> None:
    """As over the API: what is non-null is there for whoever sees the record, whatever the default hides."""
    assert (await desk.load("customer", "name\nAcme\n")).inserted == 1
    await desk.rows(
        "INSERT INTO role (workspace_id, id, name, grants, version, created_at, updated_at)"
        " VALUES ($1, $2, 'clerk', $3, 1, now(), now())",
        *(new_id(), {"Customer": {"read": "ALL", "default": "NONE"}, "Contact": WHOLE}),
    )
    await desk.member("Clerk", CLERK, "clerk")
    report = await desk.load("contact", "customer,name\nAcme,Kim\n", email=CLERK)
    assert (report.inserted, report.error_count) == (1, 0), report.errors
