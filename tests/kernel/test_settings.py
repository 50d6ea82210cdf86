"""Settings: what can be read, and what is said of what cannot."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_type_hints

import pytest

from crm_graph.app import check_settings
from crm_graph.kernel.accepted import largest
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
    "nothing allowed": ({"CRM_RATE_MEMBER_COST": "0"}, "CRM_RATE_MEMBER_COST='0' must be more than 0"),
    "a time backwards": ({"CRM_EVENT_RETENTION_DAYS": "-1"}, "CRM_EVENT_RETENTION_DAYS='-1' must not be less than 0"),
    "no origin": ({"CRM_ALLOWED_ORIGINS": "app.example.com"}, "CRM_ALLOWED_ORIGINS: 'app.example.com' is no origin"),
    "an address of nobody": ({"CRM_TRACES_URL": "collector:4318"}, "CRM_TRACES_URL='collector:4318' is no address"),
    "a page that is a script": ({"CRM_RESET_URL": "javascript:alert(1)"}, "CRM_RESET_URL="),
    "an address with a blank": ({"CRM_INVITATION_URL": "https://a .example"}, "CRM_INVITATION_URL="),
    "no scheme of ours": ({"CRM_PUBLIC_URL": "ftp://crm.example.com"}, "CRM_PUBLIC_URL="),
    "no network of providers": ({"CRM_PROVIDER_PRIVATE": "here"}, "CRM_PROVIDER_PRIVATE='here'"),
    "too little for the lanes": ({"CRM_ARGON2_LANES": "4", "CRM_ARGON2_MEMORY_KIB": "31"}, "CRM_ARGON2_MEMORY_KIB=31"),
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


NUMBERS = [name for name, kind in get_type_hints(Settings).items() if kind is int]


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_a_least_and_a_largest(name: str) -> None:
    """What is out of bounds is refused by name, and not met as an overflow when somebody asks."""
    variable, most = f"CRM_{name.upper()}", largest(name)
    for text in (str(most + 1), "9" * 20, "9" * 5_000, "-1", "1.5", "nan", "many"):
        with pytest.raises(OperatorError) as caught:
            Settings.from_environment({variable: text})
        assert caught.value.what.startswith(f"{variable}={text!r} ")
        assert "unset it (default " in caught.value.fix
    if name not in {"argon2_lanes", "sign_in_candidates"}:  # which go with other numbers
        assert getattr(Settings.from_environment({variable: str(most)}), name) == most


def test_times_of_the_largest_size_can_be_added_to_now() -> None:
    for name in NUMBERS:
        unit = {"days": "days", "hours": "hours", "minutes": "minutes", "seconds": "seconds", "ms": "milliseconds"}
        word = unit.get(name.rpartition("_")[2])
        if word is not None:
            assert datetime.now(UTC) + timedelta(**{word: largest(name)}) < datetime.max.replace(tzinfo=UTC)
