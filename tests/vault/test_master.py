"""Master keys: which one wraps, which ones unwrap, and what an operator is told when none does."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from crm_graph.kernel.errors import OperatorError
from crm_graph.vault.master import MasterKeys, load_service

FIRST, SECOND, THIRD = "first master key of the tests 00001", "second master key of the tests 0002", "x" * 32
SECRETS = [b"s" * 32, b"t" * 32]
CONTEXT = {"workspace": "1" * 32, "purpose": "DATA", "version": "1"}
KEY = b"k" * 32


def keys(*given: str, secrets: list[bytes] = SECRETS) -> MasterKeys:
    return MasterKeys.of({"CRM_MASTER_KEY": ",".join(given)}, secrets)


async def test_the_first_wraps_and_all_unwrap() -> None:
    before, after = keys(FIRST), keys(SECOND, FIRST)
    wrapped = await before.wrap(KEY, CONTEXT)
    assert KEY not in wrapped
    assert await after.unwrap(wrapped, CONTEXT) == KEY
    assert after.name != before.name
    assert after.name.startswith("environment:")
    again = await after.wrap(KEY, CONTEXT)
    with pytest.raises(OperatorError):
        await before.unwrap(again, CONTEXT)


async def test_without_the_variable_the_secrets_serve_and_go_on_unwrapping() -> None:
    derived = keys()
    assert derived.name.startswith("secret:")
    wrapped = await derived.wrap(KEY, CONTEXT)
    assert await keys(FIRST).unwrap(wrapped, CONTEXT) == KEY
    assert await keys(secrets=[b"new" * 20, *SECRETS]).unwrap(wrapped, CONTEXT) == KEY


async def test_a_master_key_that_is_gone_is_named_with_the_way_out() -> None:
    wrapped = await keys(FIRST).wrap(KEY, CONTEXT)
    fingerprint = keys(FIRST).name.partition(":")[2]
    with pytest.raises(OperatorError, match="CRM_MASTER_KEY") as caught:
        await keys(SECOND).unwrap(wrapped, CONTEXT)
    assert fingerprint in caught.value.what
    assert "crm-graph keys rewrap" in caught.value.fix
    assert SECOND not in str(caught.value)


@pytest.mark.parametrize("name", ["workspace", "purpose", "version"])
async def test_a_wrapped_key_cannot_be_moved(name: str) -> None:
    wrapped = await keys(FIRST).wrap(KEY, CONTEXT)
    with pytest.raises(OperatorError, match="altered"):
        await keys(FIRST).unwrap(wrapped, {**CONTEXT, name: "2"})


async def test_context_is_told_apart_from_its_parts() -> None:
    wrapped = await keys(FIRST).wrap(KEY, {"a": "bc"})
    with pytest.raises(OperatorError):
        await keys(FIRST).unwrap(wrapped, {"ab": "c"})


async def test_every_altered_byte_is_noticed() -> None:
    wrapped = await keys(FIRST).wrap(KEY, CONTEXT)
    for at in range(len(wrapped)):
        altered = bytearray(wrapped)
        altered[at] ^= 1
        with pytest.raises(OperatorError):
            await keys(FIRST).unwrap(bytes(altered), CONTEXT)
    for length in range(len(wrapped)):
        with pytest.raises(OperatorError):
            await keys(FIRST).unwrap(wrapped[:length], CONTEXT)


@pytest.mark.parametrize("text", ["short", f"{FIRST}, short"])
def test_a_short_master_key_is_refused_unnamed(text: str) -> None:
    with pytest.raises(OperatorError, match="CRM_MASTER_KEY is shorter than 32") as caught:
        keys(text)
    assert "short" not in str(caught.value).replace("shorter", "")


def test_blanks_between_commas_are_nothing() -> None:
    assert keys(f" {FIRST} ,, {THIRD} ,").name == keys(FIRST, THIRD).name


def make_service(environment: Mapping[str, str]) -> MasterKeys:
    """Make a key service as an operator's own module would."""
    return MasterKeys.of({"CRM_MASTER_KEY": environment["MY_KMS_KEY"]}, SECRETS)


def test_an_operators_own_service_is_loaded_by_name() -> None:
    service = load_service({"CRM_KEY_SERVICE": f"{__name__}:make_service", "MY_KMS_KEY": SECOND}, SECRETS)
    assert service.name == keys(SECOND).name
    assert load_service({"CRM_MASTER_KEY": FIRST}, SECRETS).name == keys(FIRST).name


@pytest.mark.parametrize("named", ["no.such:make", f"{__name__}:nothing", __name__, ":", "os"])
def test_one_that_cannot_be_loaded_is_named(named: str) -> None:
    with pytest.raises(OperatorError, match="CRM_KEY_SERVICE"):
        load_service({"CRM_KEY_SERVICE": named}, SECRETS)
