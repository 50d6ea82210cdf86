"""What an import writes, and that writing it again changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from crm_graph.cli.data.steps import Options
from crm_graph.kernel.errors import Forbidden, OperatorError
from crm_graph.transfer.recipe import read_recipe
from tests.transfer.desk import Desk

COMPANIES = "external_id,name,employees,annual_revenue,parent\nA,Acme,12,1054.5,B\nB,星河贸易,3,,\n"


async def test_rows_are_inserted_updated_or_left_alone(desk: Desk) -> None:
    report = await desk.load("customer", COMPANIES)
    assert (report.inserted, report.updated, report.unchanged) == (2, 0, 0)
    events = await desk.events()
    report = await desk.load("customer", COMPANIES)
    assert (report.inserted, report.updated, report.unchanged) == (0, 0, 2)
    assert await desk.events() == events
    report = await desk.load("customer", COMPANIES.replace("12", "13"))
    assert (report.inserted, report.updated, report.unchanged) == (0, 1, 1)
    found = await desk.rows(
        "SELECT name, employees, version, currency FROM customer WHERE workspace_id = $1 ORDER BY name"
    )
    assert found == [("Acme", 13, 2, "USD"), ("星河贸易", 3, 1, None)]
    (event,) = await desk.rows(
        "SELECT type, entity, changes FROM event WHERE workspace_id = $1 ORDER BY seq DESC LIMIT 1"
    )
    assert event == ("CustomerUpdated", "Customer", {"employees": [12, 13]})


async def test_a_new_row_has_the_event_that_an_operation_records(desk: Desk) -> None:
    await desk.load("product", 'sku,name,price\nP1,Tab\\\tand "quote",12.50\n'.replace('"', ""))
    ((type_, changes, data, actor),) = await desk.rows(
        "SELECT type, changes, data, actor FROM event WHERE workspace_id = $1 AND entity = 'Product'"
    )
    assert type_ == "ProductCreated"
    expected = {"sku": "P1", "name": "Tab\\\tand quote", "price": "12.50", "currency": "USD", "active": True}
    assert changes == {name: [None, value] for name, value in expected.items()}
    assert data == {}
    assert actor == await desk.value("SELECT id FROM member WHERE workspace_id = $1")
    assert await desk.value("SELECT name FROM product WHERE workspace_id = $1") == "Tab\\\tand quote"


async def test_rows_refer_to_rows_of_the_same_file_in_any_order(desk: Desk) -> None:
    rows = "".join(f"C{number},Customer {number},C{number + 1}\n" for number in range(5_000))
    report = await desk.load("customer", f"external_id,name,parent\n{rows}C5000,Customer 5000,\n")
    assert (report.inserted, report.error_count) == (5_001, 0)
    assert await desk.value("SELECT count(parent_id) FROM customer WHERE workspace_id = $1") == 5_000


async def test_a_dry_run_says_what_would_happen_and_writes_nothing(desk: Desk) -> None:
    events = await desk.events()
    report = await desk.load("customer", COMPANIES, dry_run=True)
    assert report.inserted == 2
    assert await desk.value("SELECT count(*) FROM customer WHERE workspace_id = $1") == 0
    assert await desk.events() == events


async def test_gb18030_and_a_byte_order_mark_are_found(desk: Desk) -> None:
    report = await desk.load("customer", "external_id,name,city\nA,星河贸易有限公司,上海\n".encode("gb18030"))
    assert report.notes == ["read as GB18030"]
    report = await desk.load("customer", "\ufeffexternal_id;name;city\r\nB;北京公司;北京\r\n")
    assert report.notes == []
    found = await desk.rows("SELECT name, city FROM customer WHERE workspace_id = $1 ORDER BY external_id")
    assert found == [("星河贸易有限公司", "上海"), ("北京公司", "北京")]


async def test_columns_are_mapped_fixed_set_and_ignored(desk: Desk) -> None:
    report = await desk.load(
        "customer",
        "Account,Sector,Junk\nAcme,technolgy,1\n",
        maps=["Account=name", "Sector=industry", "Sector:technolgy=technology"],
        constants=["external_id=1"],
        ignore=["Junk"],
        match="external_id",
    )
    assert report.inserted == 1
    assert await desk.rows("SELECT name, industry FROM customer WHERE workspace_id = $1") == [("Acme", "technology")]


async def test_an_opportunity_follows_its_stage(desk: Desk) -> None:
    await desk.load("product", "sku,name,price\nP1,Widget,100\n")
    content = "external_id,name,pipeline,stage,amount,closed_on,product\n{}"
    rows = "1,Won deal,Sales,Closed won,90,2026-03-01,Widget\n2,Open deal,Sales,Lead,,,P1\n"
    report = await desk.load("opportunity", content.format(rows))
    assert (report.inserted, dict(report.events)) == (2, {"OpportunityCreated": 2})
    found = await desk.rows(
        "SELECT o.name, status, probability, stage_since::text, unit_price, (SELECT count(*) FROM stage_move m WHERE"
        " m.workspace_id = $1 AND m.opportunity_id = o.id) FROM opportunity o JOIN opportunity_line l ON"
        " l.workspace_id = o.workspace_id AND opportunity_id = o.id WHERE o.workspace_id = $1 ORDER BY o.external_id"
    )
    assert found[0] == ("Won deal", "WON", 100, "2026-03-01 00:00:00+00", "90", 1)
    assert found[1][:3] == ("Open deal", "OPEN", 10)
    assert found[1][4:] == ("100", 1)
    report = await desk.load("opportunity", content.format(rows.replace("Lead,,", "Closed won,80,")))
    assert (report.updated, report.unchanged, dict(report.events)) == (1, 1, {"OpportunityWon": 1})
    report = await desk.load("opportunity", content.format("3,x,Sales,Nowhere,,,\n4,y,Other,Lead,,,\n"))
    assert [(each.row, each.column) for each in report.errors] == [(2, "stage"), (3, "pipeline")]


async def test_a_members_roles_are_written_and_the_last_admin_is_kept(desk: Desk) -> None:
    await desk.load("team", "name\nEast\n")
    content = (
        "name,email,roles,team,manager\nAnn,ann@x.example,sales_rep,East,Bob\nBob,bob@x.example,sales_manager,East,\n"
    )
    report = await desk.load("member", content)
    assert report.inserted == 2
    report = await desk.load("member", content.replace("sales_rep", "sales_rep;analyst"))
    assert (report.updated, report.unchanged, dict(report.events)) == (1, 1, {"MemberRolesChanged": 1})
    roles = "SELECT role FROM member_role JOIN member ON member.id = member_id WHERE member.workspace_id = $1"
    assert await desk.rows(f"{roles} AND email = $2 ORDER BY 1", "ann@x.example") == [("analyst",), ("sales_rep",)]
    report = await desk.load("member", "name,email,roles\nAdmin,admin@desk.example,analyst\n")
    assert [(each.column, each.row) for each in report.errors] == [("roles", 2)]


async def test_tickets_get_the_next_numbers(desk: Desk) -> None:
    report = await desk.load("ticket", "external_id,number,subject\n1,T-7,a\n2,,b\n3,,c\n")
    assert report.inserted == 3
    found = await desk.rows("SELECT subject, number FROM ticket WHERE workspace_id = $1 ORDER BY subject")
    assert found == [("a", "T-7"), ("b", "T-8"), ("c", "T-9")]
    assert await desk.value("SELECT last_number FROM ticket_counter WHERE workspace_id = $1") == 9


async def test_an_import_is_under_the_rights_of_its_member(desk: Desk) -> None:
    await desk.member("Rep", "rep@desk.example", "sales_rep")
    with pytest.raises(Forbidden, match="create products"):
        await desk.load("product", "sku,name\nP,Product\n", email="rep@desk.example")
    content = "external_id,name,stage,owner\n1,Mine,Lead,rep@desk.example\n2,Yours,Lead,admin@desk.example\n"
    report = await desk.load("opportunity", content, email="rep@desk.example")
    assert [(each.row, each.reason) for each in report.errors] == [
        (3, "your roles do not allow to create this opportunity for this owner")
    ]
    await desk.member("Mate", "mate@desk.example", "sales_rep")
    await desk.load("team", "name\nEast\n")
    await desk.load("member", "email,name,team\nrep@desk.example,Rep,East\nmate@desk.example,Mate,East\n")
    await desk.load("customer", "external_id,name,owner\nA,Acme,mate@desk.example\nB,Beta,admin@desk.example\n")
    report = await desk.load("customer", "external_id,name\nB,Taken over\n", email="rep@desk.example")
    assert [(each.column, each.reason) for each in report.errors] == [
        ("external_id", "belongs to another customer, which this row does not match")
    ]
    report = await desk.load("customer", "external_id,name\nA,Taken over\n", email="rep@desk.example")
    assert [(each.row, each.reason) for each in report.errors] == [
        (2, "your roles do not allow to update this customer")
    ]
    names = await desk.rows("SELECT name FROM customer WHERE workspace_id = $1 ORDER BY name")
    assert names == [("Acme",), ("Beta",)]
    assert await desk.value("SELECT count(*) FROM opportunity WHERE workspace_id = $1") == 0


async def test_what_cannot_be_seen_cannot_be_matched(desk: Desk) -> None:
    await desk.member("Rep", "rep@desk.example", "sales_rep")
    row = "external_id,name,stage,owner\n1,Secret,Lead,{}\n"
    await desk.load("opportunity", row.format("admin@desk.example"))
    report = await desk.load("opportunity", row.format("rep@desk.example"), email="rep@desk.example")
    assert [(each.column, each.reason) for each in report.errors] == [
        ("external_id", "belongs to another opportunity, which this row does not match")
    ]


async def test_rows_of_other_workspaces_are_out_of_reach(desk: Desk) -> None:
    other = "SELECT email FROM member JOIN workspace w ON w.id = member.workspace_id WHERE w.id <> $1 LIMIT 1"
    email = await desk.value(other)
    report = await desk.load("customer", f"external_id,name,owner\nA,Acme,{email}\n")
    assert [each.column for each in report.errors] == ["owner"]


async def test_a_recipe_runs_its_steps_in_order_and_stops_at_a_bad_one(desk: Desk, tmp_path: Path) -> None:
    desk.file("deal,who,when\nD1,Acme,02/03/2026\nD1,Acme,02/03/2026\nD2,,03/03/2026\n", "deals.csv")
    recipe = desk.file(
        """
        [[steps]]
        entity = "customer"
        rows = [{ external_id = "A", name = "Acme", employees = 3 }]
        [[steps]]
        entity = "opportunity"
        file = "deals.csv"
        distinct = ["deal", "who", "when"]
        [steps.columns]
        external_id = "deal"
        name = { template = "{who|upper} {deal}" }
        customer = "who"
        stage = { value = "Lead" }
        amount = { from = "deal", multiply = 2 }
        opened_on = { from = "when", format = "%m/%d/%Y" }
        [steps.fix.deal]
        D1 = "1"
        D2 = "2"
        """,
        "recipe.toml",
    )
    first, second = await desk.run(read_recipe(recipe))
    assert (first.inserted, second.inserted, second.repeated) == (1, 2, 1)
    found = await desk.rows("SELECT name, amount, opened_on FROM opportunity WHERE workspace_id = $1 ORDER BY name")
    assert found == [("2", "4", "2026-03-03"), ("ACME 1", "2", "2026-02-03")]
    bad = desk.file(recipe.read_text().replace("employees = 3", 'employees = "three"'), "bad.toml")
    (report,) = await desk.run(read_recipe(bad), Options())
    assert [(each.row, each.column, each.value) for each in report.errors] == [(1, "employees", "three")]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("x = 1", r"no list of \[\[steps\]\] and has x"),
        ("steps = 1\n[", "is no TOML"),
        ('[[steps]]\nfile = "a"', "step 1: does not say its `entity`"),
        ('[[steps]]\nentity = "team"', "needs either `file` or `rows`"),
        ('[[steps]]\nentity = "team"\nfile = "a"\ncolour = 1', "has 'colour'"),
        ('[[steps]]\nentity = "team"\nfile = "a"\ncolumns.name = { from = "a", value = "b" }', "needs one of"),
    ],
)
def test_a_wrong_recipe_is_explained(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(OperatorError, match=what):
        read_recipe(path)
