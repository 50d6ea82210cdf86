"""The second factor: time-based codes (TOTP, RFC 6238), and recovery codes for who lost the device.

A code is good once: the time step of the last one used is kept, and only a later one is taken, by one UPDATE, so that
of two requests with the same code one gets in. Codes of the step before and after are taken too: phones' clocks differ.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re

import pyotp
from pyotp.exceptions import OTPVerificationError

from crm_graph.db.session import Session
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts.credentials import Held
from crm_graph.domains.identity.accounts.events import (
    RecoveryCodesRenewed,
    RecoveryCodeUsed,
    SecondFactorDisabled,
    SecondFactorEnabled,
)
from crm_graph.domains.identity.accounts.journal import By, record
from crm_graph.domains.identity.accounts.meter import DAY_S, Kind, count, of_member, take_back
from crm_graph.identity.sealing import seal, unseal
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import Refused

ISSUER = "crm-graph"
RECOVERY_CODES = 10
PURPOSE = "second factor"
_SECRET_BYTES = 20
_WINDOW_STEPS = 1
_TOTP = re.compile(r"[0-9]{6}\Z")
_RECOVERY = re.compile(r"[a-z2-7]{16}\Z")

# In place of the very factor whose code was shown, or of none: one that was set meanwhile is not replaced unasked.
_OFFER = Statement(
    """
    UPDATE credential SET totp_pending = $3
    WHERE workspace_id = $1 AND member_id = $2 AND totp_secret IS NOT DISTINCT FROM $4 AND password_hash = $5
    RETURNING member_id
    """,
    ("workspace_id", "member_id", "totp_pending", "totp_secret", "password_hash"),
    {},
)
_ENABLE = Statement(
    """
    UPDATE credential
    SET totp_secret = totp_pending, totp_pending = NULL, totp_step = $4, generation = generation + 1
    WHERE workspace_id = $1 AND member_id = $2 AND totp_pending = $3 RETURNING member_id
    """,
    ("workspace_id", "member_id", "totp_pending", "step"),
    {},
)
_DISABLE = Statement(
    """
    UPDATE credential SET totp_secret = NULL, totp_pending = NULL, totp_step = NULL, generation = generation + 1
    WHERE workspace_id = $1 AND member_id = $2 AND totp_secret IS NOT NULL RETURNING member_id
    """,
    ("workspace_id", "member_id"),
    {},
)
_USE_STEP = Statement(
    """
    UPDATE credential SET totp_step = $3
    WHERE workspace_id = $1 AND member_id = $2 AND totp_secret = $4 AND (totp_step IS NULL OR totp_step < $3)
    RETURNING member_id
    """,
    ("workspace_id", "member_id", "step", "totp_secret"),
    {},
)
_USE_RECOVERY = Statement(
    "DELETE FROM recovery_code WHERE workspace_id = $1 AND member_id = $2 AND sha256 = $3 RETURNING member_id",
    ("workspace_id", "member_id", "sha256"),
    {},
)
_COUNT_RECOVERY = Statement(
    "SELECT count(*)::int AS left FROM recovery_code WHERE workspace_id = $1 AND member_id = $2",
    ("workspace_id", "member_id"),
    {},
)
_FORGET_RECOVERY = Statement(
    "DELETE FROM recovery_code WHERE workspace_id = $1 AND member_id = $2", ("workspace_id", "member_id"), {}
)
_KEEP_RECOVERY = Statement(
    "INSERT INTO recovery_code (workspace_id, member_id, sha256) SELECT $1, $2, unnest($3::bytea[])",
    ("workspace_id", "member_id", "hashes"),
    {},
)


async def offer(services: Services, session: Session, workspace_id: str, member_id: str, held: Held) -> tuple[str, str]:
    """Make a secret for a member's device, to be confirmed, and return it in base32 and as an `otpauth://` URL.

    One that is in use goes on until the new one is confirmed. Raises Refused CONFLICT where the member's password or
    second factor is not the one any more that was proved.
    """
    secret = os.urandom(_SECRET_BYTES)
    sealed = seal(services, PURPOSE, workspace_id, secret)
    values = {"workspace_id": workspace_id, "member_id": member_id, "totp_pending": sealed}
    proved = {"totp_secret": held.totp_secret, "password_hash": held.password_hash}
    if not await session.execute(_OFFER, {**values, **proved}):
        raise Refused("CONFLICT", "Your password or second factor was changed at this very moment: try again.")
    totp = _totp(secret)
    return totp.secret, totp.provisioning_uri(name=held.email, issuer_name=ISSUER)


async def confirm(
    services: Services, session: Session, workspace_id: str, member_id: str, held: Held, code: str, by: By
) -> list[str]:
    """Take the offered secret into use, shown by a code of it, and return new recovery codes. Raises Refused."""
    if held.totp_pending is None:
        raise Refused("INVALID", "There is no second factor to confirm: start with `startSecondFactor`.", ("code",))
    step = _step_of(services, workspace_id, held.totp_pending, code)
    values = {"workspace_id": workspace_id, "member_id": member_id, "totp_pending": held.totp_pending, "step": step}
    if step is None or not await session.execute(_ENABLE, values):
        raise Refused("INVALID", "The code is wrong.", ("code",))
    await record(services, session, workspace_id, member_id, SecondFactorEnabled(), by)
    return await _make_recovery_codes(session, workspace_id, member_id)


async def renew_recovery_codes(
    services: Services, session: Session, workspace_id: str, member_id: str, by: By
) -> list[str]:
    """Make new recovery codes in place of all before and return them: they are shown this once."""
    await record(services, session, workspace_id, member_id, RecoveryCodesRenewed(), by)
    return await _make_recovery_codes(session, workspace_id, member_id)


async def disable(services: Services, session: Session, workspace_id: str, member_id: str, by: By) -> bool:
    """Remove a member's second factor with its recovery codes; return whether there was one."""
    values = {"workspace_id": workspace_id, "member_id": member_id}
    await session.execute(_FORGET_RECOVERY, values)
    found = bool(await session.execute(_DISABLE, values))
    if found:
        await record(services, session, workspace_id, member_id, SecondFactorDisabled(), by)
    return found


async def check_code(
    services: Services, workspace_id: str, member_id: str, totp_secret: str, code: str, by: By
) -> bool:
    """Use a code, or a recovery code, up and return whether it is right, in a transaction of its own.

    Metered per member, by the window and by the day: a million codes are few. Raises RateLimited.
    """
    settings = services.settings
    member = of_member(workspace_id, member_id)
    counted = await count(services, Kind.SECOND_FACTOR, member, settings.attempts_per_account)
    counted.check()
    of_day = await count(
        services, Kind.SECOND_FACTOR_DAY, member, settings.second_factor_attempts_per_day, window_s=DAY_S
    )
    of_day.check()
    found = await _use(services, workspace_id, member_id, totp_secret, code, by)
    if found:
        await take_back(services, counted, of_day)
    return found


async def _use(services: Services, workspace_id: str, member_id: str, totp_secret: str, code: str, by: By) -> bool:
    values = {"workspace_id": workspace_id, "member_id": member_id}
    step = _step_of(services, workspace_id, totp_secret, code)
    recovery = code.strip().lower().replace("-", "").replace(" ", "")
    async with services.database.transaction() as session:
        if step is not None:
            return bool(await session.execute(_USE_STEP, {**values, "step": step, "totp_secret": totp_secret}))
        if not _RECOVERY.match(recovery):
            return False
        digest = hashlib.sha256(recovery.encode()).digest()
        if not await session.execute(_USE_RECOVERY, {**values, "sha256": digest}):
            return False
        (row,) = await session.fetch(_COUNT_RECOVERY, values)
        await record(services, session, workspace_id, member_id, RecoveryCodeUsed(row["left"]), by)
        return True


def _step_of(services: Services, workspace_id: str, sealed: str, code: str) -> int | None:
    """Return the time step whose code this is, of those around now, or None."""
    code = code.strip().replace(" ", "")
    if not _TOTP.match(code):
        return None
    totp = _totp(unseal(services, PURPOSE, workspace_id, sealed))
    try:
        return totp.verify_and_get_timecode(code, for_time=services.clock(), valid_window=_WINDOW_STEPS)
    except OTPVerificationError:
        return None


def _totp(secret: bytes) -> pyotp.TOTP:
    return pyotp.TOTP(base64.b32encode(secret).decode())


async def _make_recovery_codes(session: Session, workspace_id: str, member_id: str) -> list[str]:
    """Return ten codes of 80 random bits each, as four groups of four letters."""
    codes = [base64.b32encode(os.urandom(10)).decode().lower() for _ in range(RECOVERY_CODES)]
    values = {"workspace_id": workspace_id, "member_id": member_id}
    await session.execute(_FORGET_RECOVERY, values)
    hashes = [hashlib.sha256(code.encode()).digest() for code in codes]
    await session.execute(_KEEP_RECOVERY, {**values, "hashes": hashes})
    return ["-".join(code[start : start + 4] for start in range(0, len(code), 4)) for code in codes]
