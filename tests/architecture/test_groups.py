"""The runner does what the marks say: an `xdist_group` that is ignored is ignored in silence."""

from __future__ import annotations

import os

import pytest


@pytest.mark.xdist_group("together")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="there are groups only where there are workers")
def test_a_group_is_known_to_the_scheduler(request: pytest.FixtureRequest) -> None:
    assert request.node.nodeid.endswith("@together")
