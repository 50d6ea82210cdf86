"""The live feed loses nothing and doubles nothing, whatever is killed or cut. `make soak` is the long version."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.soak import FAULTS, soak

pytestmark = pytest.mark.xdist_group("faults")


async def test_nothing_is_lost_nor_doubled_under_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = await soak(tmp_path, 10, seed=20_261)
    with capsys.disabled():
        print(f"\n{report}")
    assert report.is_clean, str(report)
    assert report.events > 100
    assert set(report.faults) == set(FAULTS), str(report)
