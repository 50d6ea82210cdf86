"""Imports and exports of what is encrypted: ciphertext in, and out what the permissions allow."""

from __future__ import annotations

import csv
import io

import pytest

from crm_graph.kernel.errors import Forbidden, OperatorError, Unreadable
from crm_graph.kernel.ids import new_id
from tests.transfer.desk import ADMIN, Desk

NUMBER = "11010519491231002X"
OTHER = "440308199901015432"
ROWS = f"external_id,customer,name,national_id\nK1,Acme,Kim,{NUMBER}\nK2,Acme,Lee,\n"


async def numbers(desk: Desk, email: str | None = None) -> dict[str, str | None]:
    """Return the numbers of an export by external id; None where the export has no such column."""
    rows = csv.DictReader(io.StringIO(await desk.export("Contact", email=email)))
    return {row["external_id"]: row.get("national_id") for row in rows}


async def stored(desk: Desk) -> dict[str, tuple[str | None, str | None]]:
    """Return ciphertexts and blind indexes by external id."""
    found = await desk.rows(
        "SELECT external_id, national_id, national_id_blind FROM contact WHERE workspace_id = $1 ORDER BY 1"
    )
    return {row[0]: (row[1], row[2]) for row in found}


@pytest.fixture
async def filled(desk: Desk) -> Desk:
    """Two contacts, one of them with a number, and a role that exports all contacts, with masked numbers of one's own
    accounts."""
    grants = {"read": "ALL", "export": "ALL", "update": "OWN", "fields": {"nationalId": ["MASKED ACCOUNT"]}}
    await desk.rows(
        "INSERT INTO role (workspace_id, id, name, grants, version, created_at, updated_at)"
        " VALUES ($1, $2, 'exporter', $3, 1, now(), now())",
        *(new_id(), {"Contact": grants, "Customer": {"read": "ALL"}}),
    )
    await desk.member("Rep", "rep@desk.example", "exporter")
    await desk.load("customer", "name,owner\nAcme,Rep\n")
    report = await desk.load("contact", ROWS)
    assert (report.inserted, report.errors) == (2, [])
    return desk


async def test_an_import_writes_ciphertext(filled: Desk) -> None:
    sealed, blind = (await stored(filled))["K1"]
    assert sealed is not None
    assert sealed.startswith("e1.1.")
    assert blind is not None
    assert (await stored(filled))["K2"] == (None, None)
    lines = await filled.rows("SELECT event::text FROM event WHERE workspace_id = $1")
    assert lines
    assert sealed not in str(lines), "the log has it under the key of the person"
    assert NUMBER not in str(lines)


async def test_an_export_comes_back_as_it_was(filled: Desk) -> None:
    assert await numbers(filled) == {"K1": NUMBER, "K2": ""}
    before, events = await stored(filled), await filled.events()
    for form in ("csv", "ndjson"):
        report = await filled.load("contact", await filled.export("Contact", form), f"rows.{form}")
        assert (report.unchanged, report.updated, report.errors) == (2, 0, [])
    assert await stored(filled) == before
    assert await filled.events() == events


async def test_an_import_changes_and_clears(filled: Desk) -> None:
    content = f"external_id,customer,name,national_id\nK1,Acme,Kim,\nK2,Acme,Lee,{OTHER}\n"
    report = await filled.load("contact", content)
    assert (report.updated, report.errors) == (2, [])
    assert await numbers(filled) == {"K1": "", "K2": OTHER}
    assert (await stored(filled))["K1"] == (None, None)


async def test_exports_follow_permissions(filled: Desk) -> None:
    await filled.member("Analyst", "analyst@desk.example", "analyst")
    await filled.member("Stranger", "stranger@desk.example", "exporter")
    assert await numbers(filled, ADMIN) == {"K1": NUMBER, "K2": ""}
    assert await numbers(filled, "rep@desk.example") == {"K1": "***002X", "K2": ""}
    assert await numbers(filled, "stranger@desk.example") == {"K1": "", "K2": ""}
    assert await numbers(filled, "analyst@desk.example") == {"K1": None, "K2": None}


@pytest.mark.parametrize("number", ["x" * 101, "1\t2", "--", "1\u202e2"], ids=ascii)
async def test_a_bad_number_is_reported_without_quoting_it(filled: Desk, number: str) -> None:
    before, events = await stored(filled), await filled.events()
    report = await filled.load("contact", f'external_id,customer,name,national_id\nK1,Acme,Kim,"{number}"\n')
    (error,) = report.errors
    assert (error.row, error.column, error.value) == (2, "national_id", "")
    assert number not in str(error)
    assert await stored(filled) == before
    assert await filled.events() == events


async def test_whoever_may_not_write_it_imports_none(filled: Desk) -> None:
    before = await stored(filled)
    with pytest.raises(Forbidden, match=r"Contact\.nationalId"):
        await filled.load("contact", ROWS.replace(NUMBER, OTHER), email="rep@desk.example")
    assert await stored(filled) == before


async def test_rows_are_not_recognised_by_what_is_encrypted(filled: Desk) -> None:
    with pytest.raises(OperatorError, match="national_id is encrypted"):
        await filled.load("contact", ROWS, match="national_id")


async def test_an_export_stops_at_what_cannot_be_read(filled: Desk) -> None:
    await filled.rows(
        "UPDATE contact SET national_id = left(national_id, -3) || 'AAA' WHERE workspace_id = $1 AND external_id = 'K1'"
    )
    with pytest.raises(Unreadable, match=r"contact\.national_id"):
        await filled.export("Contact")
    await filled.member("Stranger", "stranger@desk.example", "exporter")
    assert await numbers(filled, "stranger@desk.example") == {"K1": "", "K2": ""}
