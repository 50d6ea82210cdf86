"""An integrator's way: a client and its key by the command line, requests with the key, its end."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from crm_graph.cli.main import main
from crm_graph.domains.identity.clients.keys import MARK
from tests.support import plain
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.xdist_group("integrator")
WHO = {"query": "{ viewer { roles member { name } } }"}


def test_a_client_with_a_key(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--no-demo") as server:
        key = _command(server, "create", "sync", "--role", "integration", "--key").strip()
        assert key.startswith(MARK)
        assert _asks(server, key) == (200, {"roles": ["integration"], "member": {"name": "sync"}})
        line = _command(server, "keys", "sync")
        id_, name, prefix, _, used, end = line.rstrip("\n").split("\t")
        assert (name, end) == ("command line", "-")
        assert used != "-"
        assert key.startswith(prefix)
        second = _command(server, "key", "sync", "--days", "1").strip()
        assert _asks(server, second)[0] == 200
        _command(server, "revoke", id_)
        assert _asks(server, key) == (401, "UNAUTHENTICATED")
        assert _asks(server, second)[0] == 200
        for arguments in (("revoke", id_), ("create", "y", "--role", "nobody")):
            assert "refused:" in _command(server, *arguments, code=1)
        for arguments in (("revoke", "x"), ("key", "nobody")):
            assert "fix:" in _command(server, *arguments, code=2)
        said = "".join(server.said)
        assert key not in said
        assert prefix not in said


def _command(server: RunningServer, *arguments: str, code: int = 0) -> str:
    """Return what `crm-graph client` prints; where it must fail, on stderr. In this process: starting one takes
    seconds."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["crm-graph", "client", *arguments, "--data", str(server.data)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == code, err.getvalue()
    assert code == 0 or out.getvalue() == ""
    return err.getvalue() if code else out.getvalue()


def _asks(server: RunningServer, key: str) -> tuple[int, object]:
    answer = plain.post(server.address, json=WHO, headers={"Authorization": f"Bearer {key}"})
    body = answer.json()
    return answer.status_code, body["data"]["viewer"] if "data" in body else body["errors"][0]["extensions"]["code"]
