"""Settings: what can be read, and what is said of what cannot."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from crm_graph.app import check_settings
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.settings import Settings


def test_events_may_be_kept_for_ever() -> None:
    assert Settings.from_environment({"CRM_EVENT_RETENTION_DAYS": "0"}).event_retention_days == 0


@pytest.mark.parametrize(("text", "on"), [("1", True), ("on", True), ("TRUE", True), ("0", False), ("no", False)])
def test_switches(text: str, *, on: bool) -> None:
    assert Settings.from_environment({"CRM_COOKIES": text}).cookies is on


BAD = {
    "no switch": ({"CRM_COOKIES": "maybe"}, "CRM_COOKIES='maybe' is no switch"),
    "no number": ({"CRM_RATE_MEMBER_REQUESTS": "many"}, "CRM_RATE_MEMBER_REQUESTS='many' is not a whole number"),
    "nothing allowed": ({"CRM_RATE_MEMBER_COST": "0"}, "CRM_RATE_MEMBER_COST=0 must be more than 0"),
    "a time backwards": ({"CRM_EVENT_RETENTION_DAYS": "-1"}, "CRM_EVENT_RETENTION_DAYS=-1 must be more than 0"),
    "no origin": ({"CRM_ALLOWED_ORIGINS": "app.example.com"}, "CRM_ALLOWED_ORIGINS: 'app.example.com' is no origin"),
    "no networks": ({"CRM_TRUSTED_PROXIES": "here"}, "CRM_TRUSTED_PROXIES='here'"),
    "cookies in clear": ({"CRM_COOKIES": "1", "CRM_PUBLIC_URL": "http://crm.example.com"}, "in clear"),
}


@pytest.mark.parametrize(("environment", "what"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_meant(environment: dict[str, str], what: str) -> None:
    with pytest.raises(OperatorError) as caught:
        check_settings(Settings.from_environment(environment))
    assert what in caught.value.what
    assert caught.value.fix


def test_the_limits_are_all_told() -> None:
    """The README says so of `docs/limits.md`."""
    told = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()
    names = [f"CRM_{each.name.upper()}" for each in fields(Settings)]
    limits = [name for name in names if name.startswith("CRM_MAX_") or name.endswith("_MAX_BYTES")]
    assert [name for name in limits if f"`{name}`" not in told] == []
