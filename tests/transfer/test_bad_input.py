"""What is wrong with a file or a row is said exactly, all of it, and nothing is written."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.kernel.errors import OperatorError
from crm_graph.transfer.report import StepReport
from tests.transfer.desk import Desk


def errors(report: StepReport) -> list[tuple[int, str, str, str]]:
    return sorted((each.row, each.column, each.value, each.reason) for each in report.errors)


async def customers(desk: Desk) -> int:
    return int(await desk.value("SELECT count(*) FROM customer WHERE workspace_id = $1"))


async def test_a_value_of_the_wrong_type_is_reported_with_row_column_value_and_reason(desk: Desk) -> None:
    events = await desk.events()
    report = await desk.load(
        "customer",
        "external_id,name,employees,annual_revenue,lifecycle_since\n"
        "A,Acme,12,1.5,2026-01-02T03:04:05Z\n"
        "B,Beta,many,1e9,yesterday\n"
        'C,"Ga\nmma",99999999999,1.23456,0001-01-01T00:00:00Z\n'
        "D,,-1,123456789012345678,\n",
    )
    assert errors(report) == [
        (3, "annual_revenue", "1e9", "is not a decimal number like 1234.50"),
        (3, "employees", "many", "is not a whole number like 1234"),
        (3, "lifecycle_since", "yesterday", "is not a time with an offset, like 2026-11-22T09:30:00Z"),
        (4, "annual_revenue", "1.23456", "has more than 4 digits after the point"),
        (4, "employees", "99999999999", "is not a whole number like 1234"),
        (4, "lifecycle_since", "0001-01-01T00:00:00Z", "does not lie in the years 1900 to 2199"),
        (5, "annual_revenue", "123456789012345678", "has more than 14 digits before the point"),
        (5, "employees", "-1", "must be at least 0"),
        (5, "name", "", "is empty, and required"),
    ]
    assert (report.rows, report.bad_rows) == (4, 3)
    assert await customers(desk) == 0
    assert await desk.events() == events


async def test_with_skip_errors_the_good_rows_are_written(desk: Desk) -> None:
    report = await desk.load("customer", "external_id,name,employees\nA,Acme,1\nB,Beta,x\n", skip_errors=True)
    assert (report.inserted, report.bad_rows) == (1, 1)
    assert await desk.rows("SELECT name FROM customer WHERE workspace_id = $1") == [("Acme",)]


async def test_rows_that_point_to_a_bad_row_are_bad(desk: Desk) -> None:
    content = "external_id,name,employees,parent\nA,Acme,1,C\nB,Beta,1,A\nC,Gamma,x,\nD,Delta,1,\n"
    report = await desk.load("customer", content, skip_errors=True)
    assert errors(report) == [
        (2, "parent", "C", "is the external id or name of no customer"),
        (3, "parent", "A", "names a row of this file that has errors"),
        (4, "employees", "x", "is not a whole number like 1234"),
    ]
    assert await desk.rows("SELECT name FROM customer WHERE workspace_id = $1") == [("Delta",)]


async def test_a_row_of_another_width_is_reported_and_a_blank_one_is_not(desk: Desk) -> None:
    report = await desk.load("customer", "external_id,name\n\nA,Acme,x\nB\n,\n")
    assert errors(report) == [
        (3, "", "", "has 3 cells, the header has 2"),
        (4, "", "", "has 1 cells, the header has 2"),
    ]
    assert report.blank == 2


async def test_an_unknown_column_is_an_error_unless_it_is_ignored(desk: Desk) -> None:
    content = "external_id,name,colour\nA,Acme,red\n"
    with pytest.raises(OperatorError, match="'colour' that is not a field of customer") as error:
        await desk.load("customer", content)
    assert "--ignore colour" in error.value.fix
    assert "annual_revenue" in error.value.fix
    assert (await desk.load("customer", content, ignore=["colour"])).inserted == 1


async def test_an_option_that_names_no_column_is_an_error(desk: Desk) -> None:
    content = "external_id,name\nA,Acme\n"
    wrong: list[dict[str, Any]] = [{"maps": ["nmae=name"]}, {"ignore": ["nmae"]}, {"fixes": ["nmae:a=b"]}]
    for options in wrong:
        with pytest.raises(OperatorError, match="no column 'nmae'"):
            await desk.load("customer", content, **options)
    with pytest.raises(OperatorError, match="has no field 'nmae'"):
        await desk.load("customer", content, maps=["name=nmae"])


async def test_a_missing_column_is_named_with_the_header(desk: Desk) -> None:
    with pytest.raises(OperatorError, match=r"no column for customer\.name, which is required") as error:
        await desk.load("customer", "external_id,title\nA,x\n")
    assert "its header is: external_id, title" in error.value.fix
    with pytest.raises(OperatorError, match="recognised by id or external_id"):
        await desk.load("opportunity", "name,stage\nDeal,Lead\n")


async def test_a_column_twice_or_no_header_is_an_error(desk: Desk) -> None:
    with pytest.raises(OperatorError, match="two columns named 'name'"):
        await desk.load("customer", "name,name\nA,B\n")
    with pytest.raises(OperatorError, match="no header"):
        await desk.load("customer", "")
    with pytest.raises(OperatorError, match="taken from two columns"):
        await desk.load("customer", "name,account\nA,B\n", maps=["account=name"])
    with pytest.raises(OperatorError, match=r"from row 3 on \(line 3\)"):
        await desk.load("customer", 'name\nA\n"B\n')


async def test_a_wrong_encoding_is_named_with_its_place(desk: Desk) -> None:
    latin = "name\nAcme\nRenée Élan\n".encode("latin-1")
    with pytest.raises(OperatorError, match="byte e9 at offset 13, line 3") as error:
        await desk.load("customer", latin)
    assert "--encoding cp1252" in error.value.fix
    with pytest.raises(OperatorError, match="is not utf-8: byte e9 at offset 13"):
        await desk.load("customer", latin, encoding="utf-8")
    with pytest.raises(OperatorError, match="no encoding 'klingon'"):
        await desk.load("customer", latin, encoding="klingon")
    assert (await desk.load("customer", latin, encoding="cp1252")).inserted == 2
    names = await desk.rows("SELECT name FROM customer WHERE workspace_id = $1 ORDER BY 1")
    assert names == [("Acme",), ("Renée Élan",)]


async def test_nul_and_absurd_dates_are_refused(desk: Desk) -> None:
    content = "external_id,name,stage,closed_on\nA,a\0b,Lead,9999-12-31\nB,b,Lead,2026-02-30\n"
    report = await desk.load("opportunity", content)
    assert [(row, column, reason) for row, column, _, reason in errors(report)] == [
        (2, "closed_on", "does not lie in the years 1900 to 2199"),
        (2, "name", "contains the character U+0000"),
        (3, "closed_on", "is a date that does not exist"),
    ]


async def test_a_key_twice_in_the_file_is_an_error(desk: Desk) -> None:
    report = await desk.load("customer", "external_id,name\nA,Acme\nB,Beta\nA,Again\n")
    assert errors(report) == [(4, "external_id", "A", "stands in row 2 already")]
    report = await desk.load(
        "member",
        "external_id,name,email,roles\n1,A,a@x.example,analyst\n2,B,A@x.example,analyst\n3,C,c@x.example,x\n",
    )
    assert [error[:3] for error in errors(report)] == [(3, "email", "A@x.example"), (4, "roles", "x")]
    assert await customers(desk) == 0


async def test_an_empty_key_is_an_error(desk: Desk) -> None:
    report = await desk.load("customer", "external_id,name\n,Acme\n")
    assert errors(report) == [(2, "external_id", "", "is empty, and rows are recognised by it")]


async def test_a_unique_value_of_another_row_is_an_error(desk: Desk) -> None:
    content = "external_id,name,email,roles\n1,Imposter,ADMIN@desk.example,analyst\n"
    report = await desk.load("member", content)
    assert errors(report) == [
        (2, "email", "ADMIN@desk.example", "belongs to another member, which this row does not match")
    ]


async def test_an_unknown_reference_and_an_ambiguous_one_are_errors(desk: Desk) -> None:
    await desk.member("Kim", "kim1@desk.example", "sales_rep")
    await desk.member("Kim", "kim2@desk.example", "sales_rep")
    content = "external_id,name,owner\nA,Acme,Kim\nB,Beta,Lee\nC,Gamma,KIM2@desk.example\nD,Delta,\n"
    report = await desk.load("customer", content, skip_errors=True)
    assert errors(report) == [
        (2, "owner", "Kim", "could be any of 2 members: use an id or another key of it"),
        (3, "owner", "Lee", "is the external id or email or name of no member"),
    ]
    found = await desk.rows(
        "SELECT c.name, m.email FROM customer c LEFT JOIN member m ON m.workspace_id = $1 AND m.id = owner_id"
        " WHERE c.workspace_id = $1 ORDER BY 1"
    )
    assert found == [("Delta", None), ("Gamma", "kim2@desk.example")]


async def test_a_circle_is_an_error(desk: Desk) -> None:
    report = await desk.load("customer", "external_id,name,parent\nA,Acme,B\nB,Beta,C\nC,Gamma,A\nD,Delta,D\n")
    assert [error[:2] for error in errors(report)] == [(2, "parent"), (3, "parent"), (4, "parent"), (5, "parent")]
    assert await customers(desk) == 0


async def test_a_circle_that_was_there_before_is_not_the_files(desk: Desk) -> None:
    await desk.load("customer", "external_id,name,parent\nA,Acme,\nB,Beta,A\n")
    mother = "(SELECT id FROM customer WHERE workspace_id = $1 AND external_id = 'B')"
    await desk.rows(
        f"UPDATE customer SET parent_id = {mother} WHERE workspace_id = $1 AND external_id = 'A' RETURNING id"
    )
    report = await desk.load("customer", "external_id,name,parent\nA,Acme,B\nB,Beta again,A\n")
    assert errors(report) == []
    assert (report.unchanged, report.updated) == (1, 1)


async def test_rows_change_places(desk: Desk) -> None:
    """What was above a row counts no more when the file says that nothing is, or another one."""
    await desk.load("customer", "external_id,name,parent\nA,Acme,\nB,Beta,A\nC,Gamma,B\n")
    report = await desk.load("customer", "external_id,name,parent\nA,Acme,C\nB,Beta,\nC,Gamma,B\n")
    assert errors(report) == []
    report = await desk.load("customer", "external_id,name,parent\nB,Beta,A\n", skip_errors=True)
    assert [error[:2] for error in errors(report)] == [(2, "parent")]


async def test_a_json_line_that_is_none_is_a_row_error(desk: Desk) -> None:
    content = '{"external_id": "A", "name": "Acme", "employees": 12}\n{"name": \n[1]\n{"name": {"a": 1}}\n'
    report = await desk.load("customer", content, "rows.ndjson", skip_errors=True)
    assert [error[0] for error in errors(report)] == [2, 3, 4]
    assert await desk.rows("SELECT name, employees FROM customer WHERE workspace_id = $1") == [("Acme", 12)]


async def test_a_text_that_is_longer_than_its_column_is_an_error_of_its_row(desk: Desk) -> None:
    """Also one that no mutation would have room for: the other rows are judged, and written where that is asked."""
    content = (
        f"external_id,name,industry,website,email\nA,{'名' * 500},x,https://{'w' * 1_992},\n"
        f"B,{'n' * 501},{'i' * 98_000},https://{'w' * 1_993},\nC,Gamma,{'i' * 300_000},,\nD,Delta,,,{'e' * 255}\n"
    )
    report = await desk.load("customer", content, skip_errors=True)
    assert sorted((each.row, each.column, each.reason) for each in report.errors) == [
        (3, "industry", "has 98,000 letters: 500 is the most"),
        (3, "name", "has 501 letters: 500 is the most"),
        (3, "website", "has 2,001 letters: 2,000 is the most"),
        (4, "industry", "is longer than 100000 characters"),
        (5, "email", "must be an e-mail address like ada@example.com"),
    ]
    assert (report.inserted, report.bad_rows) == (1, 3)


async def test_what_is_stored_longer_may_come_again(desk: Desk) -> None:
    assert (await desk.load("customer", "external_id,name,industry\nA,Acme,x\n")).inserted == 1
    await desk.rows("UPDATE customer SET industry = repeat('i', 600) WHERE workspace_id = $1 RETURNING name")
    report = await desk.load("customer", f"external_id,name,industry\nA,Acme Ltd,{'i' * 600}\n")
    assert (report.updated, report.bad_rows) == (1, 0)
