"""What an export holds, that spreadsheets do not run it, and that importing it changes nothing."""

from __future__ import annotations

import csv
import io
import json

import pytest

from crm_graph.cli.data.steps import SPECS
from crm_graph.graph.exporting.export_lines import guarded
from tests.transfer.desk import Desk

DANGEROUS = ("=1+1", "+86 10 1234", "-cmd", "@sum", "\ttab", "'=quoted", "''=twice", "'plain", "ordinary")


@pytest.mark.parametrize("text", DANGEROUS)
def test_a_formula_is_guarded(text: str) -> None:
    assert guarded(text)[:1] not in {"=", "+", "-", "@", "\t", "\r"}


async def test_a_formula_comes_back_as_it_was(desk: Desk) -> None:
    lines = [json.dumps({"external_id": str(number), "name": text}) for number, text in enumerate(DANGEROUS)]
    assert (await desk.load("customer", "\n".join(lines), "rows.ndjson")).inserted == len(DANGEROUS)
    exported = await desk.export("Customer")
    names = [row["name"] for row in csv.DictReader(io.StringIO(exported))]
    guarded_names = ["'=1+1", "'+86 10 1234", "'-cmd", "'@sum", "'\ttab", "''=quoted", "'''=twice"]
    assert names == [*guarded_names, "'plain", "ordinary"]
    report = await desk.load("customer", exported)
    assert (report.unchanged, report.updated, report.error_count) == (len(DANGEROUS), 0, 0)


async def test_everything_that_is_exported_can_be_imported_again(desk: Desk) -> None:
    await desk.load("team", "name\nEast\n")
    await desk.load("member", "name,email,roles,team\nAnn,ann@x.example,sales_rep,East\n")
    await desk.load("product", 'sku,name,price,description\nP1,Widget,100.25,"two\nlines; one, ""cell"""\n')
    await desk.load("customer", "name,annual_revenue,owner\nAcme,5,Ann\n")
    await desk.load("customer", "external_id,name,parent\nT1,Twin,\nT2,Twin,Acme\n")
    await desk.load("contact", "external_id,customer,name,email\nK1,Acme,Kim,kim@acme.example\nK2,T1,Kim,\n")
    deal = "external_id,name,stage,customer,owner,product,amount,closed_on\n1,Deal,Closed won,T2,Ann,P1,7,2026-01-01\n"
    await desk.load("opportunity", deal)
    await desk.load("ticket", "subject,number,customer,contact,assignee,satisfaction\nHelp,T-3,T1,K2,Ann,4\n")
    await desk.load("campaign", "name,channel,status,budget,starts_on\nSpring,EMAIL,ACTIVE,10,2026-03-01\n")
    events = await desk.events()
    for form in ("csv", "ndjson"):
        for spec in SPECS:
            exported = await desk.export(spec.policy.type, form)
            report = await desk.load(spec.entity, exported, f"rows.{form}")
            assert report.errors == [], spec.entity
            assert (report.inserted, report.updated) == (0, 0), (spec.entity, report.events)
            assert report.unchanged > 0, spec.entity
    assert await desk.events() == events


async def test_an_export_holds_what_its_member_may_see(desk: Desk) -> None:
    hidden = {"amount": ["NONE ALL"], "lostReason": ["NONE ALL"]}
    await desk.rows(
        "INSERT INTO role (workspace_id, id, name, grants, version, created_at, updated_at)"
        " VALUES ($1, gen_random_uuid(), 'counter', $2, 1, now(), now()) RETURNING 1",
        {"Opportunity": {"read": "ALL", "export": "ALL", "fields": hidden}},
    )
    await desk.member("Rep", "rep@desk.example", "sales_manager")
    await desk.member("Marketer", "marketer@desk.example", "counter")
    content = "external_id,name,stage,amount,owner\n1,Mine,Lead,7,rep@desk.example\n2,Yours,Lead,8,\n"
    await desk.load("opportunity", content)
    mine = await desk.export("Opportunity", email="rep@desk.example")
    assert [row["name"] for row in csv.DictReader(io.StringIO(mine))] == ["Mine"]
    without = list(csv.DictReader(io.StringIO(await desk.export("Opportunity", email="marketer@desk.example"))))
    assert [row["name"] for row in without] == ["Mine", "Yours"]
    assert not {"amount", "currency", "lost_reason"} & without[0].keys()


async def test_a_shared_name_is_exported_as_an_id(desk: Desk) -> None:
    await desk.load("customer", "id,name\n,Twin\n,Twin\n,Single\n")
    await desk.load("customer", "name,parent\nChild,Single\n")
    twin = await desk.value("SELECT id FROM customer WHERE workspace_id = $1 AND name = 'Twin' LIMIT 1")
    await desk.load("customer", f"name,parent\nOther,cus_{twin}\n")
    rows = {row["name"]: row["parent"] for row in csv.DictReader(io.StringIO(await desk.export("Customer")))}
    assert (rows["Child"], rows["Other"]) == ("Single", f"cus_{twin}")
