"""The seal: what is hashed, in which form, under which key. Pure functions.

An entry's hash is HMAC-SHA256 over the hash before it and the entry; the entry holds the SHA-256 of the whole event.
The key comes from the installation's secret, and `key_id` names it, so that the secret may be rotated.

What this holds against, for whoever can write to the database:

- Without the secret (`CRM_SECRET` set, as production does): no entry can be changed, removed, put in or moved, and no
  event that has an entry, without `verify` naming the place. Cutting off the newest entries and their events needs a
  head sealed at that place: a copy of it from back then (a backup) is enough for that, and only `--expect` finds it.
  What can be done: to change or remove an event in the moment before it has an entry; to write events from now on, as
  the application does; to throw all entries away, whereupon the chainer seals the log as it then is: `verify` tells
  entries that were sealed long after their event, and `--expect` finds it for certain.
- With the secret (it lies in the database unless `CRM_SECRET` is set): everything can be made anew, without a trace
  here. Only a head `NUMBER:HASH` that was kept elsewhere, given to `verify --expect`, finds that.
- A secret that leaked and was rotated out still seals what looks like old entries: keep a head of that day.

So keep heads where the database's administrators do not reach: `crm-graph audit verify` prints them.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from crm_graph.domains.platform.audit.events import EVENTS
from crm_graph.identity.keys import derive_key
from crm_graph.identity.viewer import ActorKind
from crm_graph.kernel.ids import encode_id

GENESIS = "0" * 64
"""Stands for the hash before the first entry."""
PURPOSE = "audit chain"
_ABOUT_FIELDS = frozenset(event.__name__ for event in EVENTS)
"""Events whose data say the fields and records that they are about; others are about the columns that changed."""

EVENT_COLUMNS = (
    "xid::text::bigint AS xid, seq, workspace_id, type, entity, entity_id, actor, at, changes::text AS changes,"
    " data::text AS data, client_id, address, request_id, actor_kind, cause_seq, depth, personal"
)
"""A whole event as it is digested. JSON as Postgres prints it: parsed here, a number could lose digits."""
_LATER = ("actor_kind", "cause_seq", "depth", "personal")
"""The columns that the log got after its first release. Of personal values the ciphertext is digested, so that the
chain verifies when their key is gone."""
ENTRY_FIELDS = (
    "workspace_id",
    "number",
    "id",
    "event_xid",
    "event_seq",
    "type",
    "entity",
    "record_id",
    "record_ids",
    "fields",
    "actor_id",
    "client_id",
    "address",
    "request_id",
    "at",
    "sealed_at",
    "key_id",
    "digest",
)
"""What the hash of an entry is over, in this order, behind the hash before it."""
LATER_ENTRY_FIELDS = ("actor_kind",)
"""What joins it at its end, by name, where it is not null: entries got these after the first release."""
_HEAD_FIELDS = ("workspace_id", "number", "hash", "event_xid", "event_seq", "key_id")


@dataclass(frozen=True, slots=True)
class SealKey:
    """A key of the chain and its name."""

    id: str
    secret: bytes

    def seal(self, kind: bytes, parts: Sequence[Any]) -> str:
        """Return the HMAC over values of JSON, for one kind of thing: an entry's is never a head's."""
        return hmac.digest(self.secret, kind + b"\n" + orjson.dumps(parts), "sha256").hex()


def seal_keys(secrets: Iterable[bytes]) -> list[SealKey]:
    """Return the keys of the installation's secrets, in their order: the first seals, all of them verify."""
    return [
        SealKey(derive_key(secret, f"{PURPOSE} key id", 8).hex(), derive_key(secret, PURPOSE, 32)) for secret in secrets
    ]


def event_digests(event: Mapping[str, Any], *, first_form: bool = False) -> set[str]:
    """Return the digests that an entry may have of an event: also the one without its personal values, which a process
    of the release before made of an event that one of a later release wrote."""
    forms = [event] if event["personal"] is None else [event, {**event, "personal": None}]
    return {event_digest(each, first_form=first_form) for each in forms}


def event_digest(event: Mapping[str, Any], *, first_form: bool = False) -> str:
    """Return the SHA-256 of an event read as `EVENT_COLUMNS`.

    A column that the log gets later joins the form at its end, by name, where it is not null: old digests stay what
    they are. The `first_form` has none of these: it is that of an entry without an actor's kind, which a process of the
    first release made, possibly of an event that one of a later release wrote.
    """
    parts = [value for name, value in event.items() if name not in _LATER]
    if not first_form:
        parts += [[name, event[name]] for name in _LATER if event[name] is not None]
    return hashlib.sha256(b"event\n" + orjson.dumps(parts)).hexdigest()


def entry_of(event: Mapping[str, Any], prefixes: Mapping[str, str]) -> dict[str, Any]:
    """Return what an entry says of an event; `prefixes` are those of the ids of the schema's types."""
    about = orjson.loads(event["data"]) if event["type"] in _ABOUT_FIELDS else {}
    prefix = prefixes.get(event["entity"])
    return {
        "workspace_id": event["workspace_id"],
        "event_xid": event["xid"],
        "event_seq": event["seq"],
        "type": event["type"],
        "entity": event["entity"],
        "record_id": encode_id(prefix, event["entity_id"]) if prefix else event["entity_id"],
        "record_ids": list(about.get("records", ())),
        "fields": list(about["fields"]) if "fields" in about else list(orjson.loads(event["changes"])),
        "actor_id": event["actor"],
        "client_id": event["client_id"],
        "address": event["address"],
        "request_id": event["request_id"],
        "at": event["at"],
        "digest": event_digest(event),
        "actor_kind": event["actor_kind"] or (ActorKind.SYSTEM if event["actor"] is None else ActorKind.MEMBER).value,
    }


def entry_hash(key: SealKey, previous: str, entry: Mapping[str, Any]) -> str:
    """Return the hash of an entry that follows the one of hash `previous`."""
    later = [[name, entry[name]] for name in LATER_ENTRY_FIELDS if entry[name] is not None]
    return key.seal(b"entry", [previous, *(entry[name] for name in ENTRY_FIELDS), *later])


def head_seal(key: SealKey, head: Mapping[str, Any]) -> str:
    """Return the seal of a head."""
    return key.seal(b"head", [head[name] for name in _HEAD_FIELDS])


def differing(entry: Mapping[str, Any], event: Mapping[str, Any]) -> list[str]:
    """Return what of an event is not what its entry says, by the names of the event's columns."""
    compared = {
        "type": entry["type"],
        "entity": entry["entity"],
        "entity_id": entry["record_id"].rpartition("_")[2],
        "actor": entry["actor_id"],
        "client_id": entry["client_id"],
        "address": entry["address"],
        "request_id": entry["request_id"],
        "at": entry["at"],
    }
    if entry["actor_kind"] is not None and event["actor_kind"] is not None:
        compared["actor_kind"] = entry["actor_kind"]
    return [name for name, value in compared.items() if event[name] != value] or ["changes or data"]
