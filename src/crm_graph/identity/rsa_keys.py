"""RSA keys for ID tokens: what every OpenID client in the field can check (OpenID Connect Core asks for RS256).

They turn with the calendar as the Ed25519 keys do (`keys.py`), and belong to a secret as those do: who replaces
`CRM_SECRET` replaces them. No library derives an RSA key from a secret, so they are rows, sealed under the secret that
they belong to. Processes agree because a row is written once: whoever comes second takes the first one's. A key is made
a whole period before it signs, in a thread, at start-up and by a task: not while somebody waits for it.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey

from crm_graph.db.outages import OUTAGES
from crm_graph.db.pool import Database
from crm_graph.db.statements import Statement
from crm_graph.identity.keys import derive_key
from crm_graph.kernel.clock import Clock
from crm_graph.kernel.errors import OperatorError

RS256 = "RS256"
BITS = 2_048
LOOK_SECONDS = 3_600
"""How often the task looks whether a period has come."""
_PURPOSE = "ID token signing"
log = logging.getLogger(__name__)

_FIND = Statement(
    "SELECT secret_id, period, sealed FROM signing_key WHERE secret_id = ANY($1::text[]) AND period BETWEEN $2 AND $3",
    ("secrets", "first", "last"),
    {},
)
_ADD = Statement(
    "INSERT INTO signing_key (secret_id, period, sealed, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    ("secret_id", "period", "sealed", "now"),
    {},
)
_FORGET = Statement("DELETE FROM signing_key WHERE period < $1", ("first",), {})


class RsaKeys:
    """The RSA keys of the periods around now, of all secrets. The first secret signs."""

    def __init__(self, database: Database, secrets: Sequence[bytes], days: int, clock: Clock) -> None:
        self._database = database
        self._secrets = {derive_key(secret, f"{_PURPOSE} name", 8).hex(): secret for secret in secrets}
        self._first = next(iter(self._secrets))
        self._seconds = int(timedelta(days=days).total_seconds())
        self._clock = clock
        self._period = -1
        self._keys: dict[tuple[str, int], RSAKey] = {}
        self._turning = asyncio.Lock()

    def sign(self, claims: dict[str, Any], type_: str) -> str:
        """Return a JWT of a type (`typ`), signed by RS256 with the key of the last `turn`. Whoever asks has called that
        before, while holding no connection: making a key takes one."""
        key = self._keys[self._first, self._period]
        return jwt.encode({"alg": RS256, "typ": type_, "kid": key.kid}, claims, key, algorithms=[RS256])

    def verify(self, token: str) -> dict[str, Any] | None:
        """Return the claims of an ID token that was signed here, whatever its times say; None for any other text."""
        try:
            decoded = jwt.decode(token, KeySet([*self._keys.values()]), algorithms=[RS256])
        except (JoseError, ValueError, TypeError, KeyError, UnicodeError, RecursionError):
            return None
        return decoded.claims if decoded.header.get("typ") == "JWT" and isinstance(decoded.claims, dict) else None

    async def public(self) -> list[dict[str, Any]]:
        """Return the public keys that ID tokens of today may be signed with, as JWKs, the signing one first."""
        await self.turn()
        ours = sorted(self._keys, key=lambda key: key != (self._first, self._period))
        return [
            {**self._keys[place].as_dict(private=False), "use": "sig", "alg": RS256, "kid": self._keys[place].kid}
            for place in ours
        ]

    async def turn(self) -> None:
        """Have the keys of the period that it is: nothing to do but at its turn. Needs a connection then."""
        if self._current() == self._period:
            return
        async with self._turning:
            period = self._current()
            if period != self._period:
                self._keys = await self._load(period)
                self._period = period

    async def run(self) -> None:
        """Turn in time, until cancelled: nobody's request does."""
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, self._seconds - self._clock().timestamp() % self._seconds + 1))
            try:
                await self.turn()
            except Exception as error:  # the database is away, say: whoever needs a key tries again
                if not OUTAGES.tell(error):
                    log.warning("the keys of ID tokens could not be turned: %s", type(error).__name__)

    def _current(self) -> int:
        return int(self._clock().timestamp()) // self._seconds

    async def _load(self, period: int) -> dict[tuple[str, int], RSAKey]:
        """Return the keys around a period; those of it and of the next one are made where there are none."""
        stored = await self._read(period)
        missing = [wanted for wanted in (period, period + 1) if (self._first, wanted) not in stored]
        if not missing:
            return stored
        now = self._clock()
        for missing_period in missing:
            sealed = self._seal(missing_period, await asyncio.to_thread(_generate))
            values = {"secret_id": self._first, "period": missing_period, "sealed": sealed, "now": now}
            async with self._database.transaction() as session:
                await session.execute(_ADD, values)
        async with self._database.transaction() as session:
            await session.execute(_FORGET, {"first": period - 1})
        return await self._read(period)

    async def _read(self, period: int) -> dict[tuple[str, int], RSAKey]:
        values = {"secrets": list(self._secrets), "first": period - 1, "last": period + 1}
        rows = await self._database.primary_reader().fetch(_FIND, values)
        return {
            (row["secret_id"], row["period"]): self._open(row["secret_id"], row["period"], row["sealed"])
            for row in rows
        }

    def _seal(self, period: int, key: bytes) -> str:
        sealed = self._cipher(self._first).encrypt(key, [str(period).encode()])
        return base64.b64encode(sealed).decode()

    def _open(self, secret_id: str, period: int, sealed: str) -> RSAKey:
        try:
            data = self._cipher(secret_id).decrypt(base64.b64decode(sealed), [str(period).encode()])
        except (InvalidTag, ValueError):
            raise OperatorError(
                f"the key of ID tokens of period {period} cannot be opened: its row was changed",
                f"remove the rows of period {period} from the table `signing_key`",
            ) from None
        key = RSAKey.import_key(data)
        key.ensure_kid()
        return key

    def _cipher(self, secret_id: str) -> AESSIV:
        return AESSIV(derive_key(self._secrets[secret_id], f"sealing {_PURPOSE}", 64))


def _generate() -> bytes:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
