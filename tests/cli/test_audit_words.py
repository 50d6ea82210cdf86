"""What `crm-graph audit verify` says of how many entries: of one as of one."""

from __future__ import annotations

import pytest

from crm_graph.cli.operating.auditing import _Chain, _say
from crm_graph.domains.platform.audit.verify import Anchor, Verified


@pytest.mark.parametrize(
    ("number", "late", "removed", "pending"),
    [
        (1, "1 entry was sealed", "of 1 entry are", "1 event waits for its entry"),
        (1_234, "1,234 entries were sealed", "of 1,234 entries are", "1,234 events wait for their entry"),
    ],
)
def test_one_is_one(number: int, late: str, removed: str, pending: str, capsys: pytest.CaptureFixture[str]) -> None:
    _say(_Chain("w", "acme"), Verified(Anchor(5, "0" * 64), number, number, 3, number, "2026-01-01"))
    said = capsys.readouterr().err
    assert all(each in said for each in (late, removed, pending)), said
