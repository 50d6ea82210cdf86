"""The commands' exit codes, which scripts trust."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.server import crm_graph

pytestmark = pytest.mark.xdist_group("commands")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = str(tmp_path_factory.mktemp("commands") / "data")
    assert crm_graph("migrate", "--data", directory).returncode == 0
    made = crm_graph(
        "user", "create", "--email", "a@example.com", "--role", "admin", "--new-workspace", "w", "--data", directory
    )
    assert made.returncode == 0, made.stderr
    return directory


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"external_id,name\na,Good\n", 0, "1 inserted"),
        (b"external_id,name,employees\nb,Bad,many\nc,,3\n", 1, "row 2, column employees: 'many'"),
        (b"external_id,employees\na,5\n", 2, "no column for customer.name"),
        (b"external_id,name,colour\na,b,red\n", 2, "colour"),
        (b"\xff\xfe\x00bad\x80", 2, "UTF-16"),
        (b"external_id,name\na,caf\xe9\n", 2, "offset 22"),
        (b"", 2, "no header"),
        (b"\x00\x00\x00", 2, "fix:"),
    ],
    ids=["good", "bad rows", "missing column", "unknown column", "half UTF-16", "Latin-1", "empty", "NUL"],
)
def test_an_import_ends_with_a_code_that_says_how_it_went(
    data: str, tmp_path: Path, content: bytes, code: int, said: str
) -> None:
    file = tmp_path / "customers.csv"
    file.write_bytes(content)
    done = crm_graph("import", "customer", str(file), "--data", data)
    assert done.returncode == code, done
    assert said in done.stderr, done
    assert "Traceback" not in done.stderr


def test_doctor_fails_when_something_is_wrong(data: str) -> None:
    assert crm_graph("doctor", "--data", data).returncode == 0
    wrong = crm_graph("doctor", "--data", data, CRM_MAX_DEPTH="deep")
    assert wrong.returncode == 1, wrong
    assert "CRM_MAX_DEPTH" in wrong.stderr
