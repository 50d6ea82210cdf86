"""Role definitions as people write them: in role files, in the API and in the table `role`, always the same form.

    {"Customer": {"read": "TEAM", "create": "OWN", "default": "READ",
                  "fields": {"phone": ["WRITE OWN", "MASKED ALL"], "amount": ["WRITE ALL on create"],
                             "email": ["READ ALL audited"]}}}

A verb has a scope or several, any of which suffices: `"read": ["OWN", "ACCOUNT_TEAM"]`. A type that is not named does
not exist for the role. A transition that is not named follows `update`, or is granted by name only: its policy says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from crm_graph.kernel.errors import CrmError
from crm_graph.permissions.grants import (
    ALL,
    BASIC_VERBS,
    CREATE,
    DELETE,
    EXPORT,
    NONE,
    OWN,
    READ,
    TEAM,
    UPDATE,
    FieldGrant,
    Grant,
    Level,
    Role,
    Scopes,
    grant,
)
from crm_graph.permissions.policy import Policy

DEFAULT, FIELDS = "default", "fields"
_FIELD_GRANT = re.compile(
    r"(?P<level>[A-Z]+) (?P<scope>[A-Z_]+)(?: on (?P<verbs>[a-zA-Z]+(?:,[a-zA-Z]+)*))?(?P<audited> audited)?\Z"
)
_VERB = re.compile(r"[a-z][a-zA-Z]{0,39}\Z")


class BadDefinition(CrmError):
    """Raised for grants that cannot be meant; `path` leads to what is wrong, `message` says how to mend it."""

    def __init__(self, message: str, path: tuple[str, ...]) -> None:
        super().__init__(f"{'.'.join(path)}: {message}")
        self.message = message
        self.path = path


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What definitions may speak of: types with their scopes and verbs, and the fields of each."""

    policies: Mapping[str, Policy]
    fields: Mapping[str, frozenset[str]]
    """By type, the names of the fields that can be granted."""
    inherent: Mapping[str, frozenset[str]]
    """By type, those of them that come with the object: they cannot be withheld, at most masked."""


def parse_role(name: str, definition: Any, vocabulary: Vocabulary | None = None) -> Role:
    """Return the role of a definition. Raises BadDefinition; with a vocabulary also for names that mean nothing."""
    if not isinstance(definition, Mapping):
        raise BadDefinition("must be a table of types", ())
    return Role(name, {type_: _parse_grant(type_, given, vocabulary) for type_, given in definition.items()})


def format_role(role: Role) -> dict[str, Any]:
    """Return the definition of a role: what `parse_role` reads."""
    return {type_: _format_grant(given) for type_, given in role.grants.items()}


def scopes_of(policy: Policy) -> tuple[str, ...]:
    """Return the row scopes that may be granted on a type."""
    return (NONE, *policy.all_scopes, ALL)


def _parse_grant(type_: str, given: Any, vocabulary: Vocabulary | None) -> Grant:
    if vocabulary is not None and type_ not in vocabulary.policies:
        raise BadDefinition(f"there is no such type; there are: {', '.join(vocabulary.policies)}", (type_,))
    if not isinstance(given, Mapping):
        raise BadDefinition("must be a table of verbs", (type_,))
    known = None if vocabulary is None else scopes_of(vocabulary.policies[type_])
    verbs: dict[str, Scopes] = {}
    for verb, scopes in given.items():
        if verb in {DEFAULT, FIELDS}:
            continue
        _check_verb(type_, verb, vocabulary)
        verbs[verb] = _scopes(scopes, known, (type_, verb))
    default = _level(given.get(DEFAULT, Level.WRITE.name), (type_, DEFAULT))
    fields = given.get(FIELDS, {})
    if not isinstance(fields, Mapping):
        raise BadDefinition("must be a table of fields", (type_, FIELDS))
    parsed = {name: tuple(_parse_fields(type_, name, field, known, vocabulary)) for name, field in fields.items()}
    if vocabulary is not None:
        _check_inherent(type_, parsed, vocabulary)
    return grant(
        verbs.pop(READ, NONE),
        verbs.pop(CREATE, NONE),
        verbs.pop(UPDATE, NONE),
        verbs.pop(DELETE, NONE),
        verbs.pop(EXPORT, NONE),
        fields=parsed,
        default=default,
        **verbs,
    )


def _check_inherent(type_: str, fields: Mapping[str, tuple[FieldGrant, ...]], vocabulary: Vocabulary) -> None:
    """Raise BadDefinition for a field that would be null where the schema says that it never is."""
    masks = vocabulary.policies[type_].masks
    for name in vocabulary.inherent[type_] & fields.keys():
        least = Level.MASKED if name in masks else Level.READ
        if not any(grant.level >= least and grant.scope == ALL for grant in fields[name]):
            raise BadDefinition(
                f'comes with every {type_} and cannot be withheld: give it "{least.name} ALL" at least',
                (type_, FIELDS, name),
            )


def _check_verb(type_: str, verb: str, vocabulary: Vocabulary | None) -> None:
    if not _VERB.match(verb):
        raise BadDefinition("a verb is a word in small letters", (type_, verb))
    if vocabulary is not None and verb not in BASIC_VERBS and verb not in vocabulary.policies[type_].transitions:
        names = ", ".join((*BASIC_VERBS, *vocabulary.policies[type_].transitions))
        raise BadDefinition(f"there is no such verb; there are: {names}", (type_, verb))


def _parse_fields(
    type_: str, name: str, given: Any, known: Iterable[str] | None, vocabulary: Vocabulary | None
) -> Iterator[FieldGrant]:
    path = type_, FIELDS, name
    if vocabulary is not None and name not in vocabulary.fields[type_]:
        raise BadDefinition(f"there is no such field; there are: {', '.join(sorted(vocabulary.fields[type_]))}", path)
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise BadDefinition('must be a text like "READ TEAM", or a list of them', path)
    for text in texts:
        match = _FIELD_GRANT.match(text) if isinstance(text, str) else None
        if match is None:
            raise BadDefinition(
                f'{text!r} is not understood: write a level and a scope, "READ TEAM", and if need be'
                ' " on create" and " audited"',
                path,
            )
        verbs = None if match["verbs"] is None else frozenset(match["verbs"].split(","))
        for verb in verbs or ():
            _check_verb(type_, verb, vocabulary)
        level, scope = _level(match["level"], path), _scope(match["scope"], known, path)
        if verbs is not None and level is not Level.WRITE:
            raise BadDefinition('only WRITE can be bound to verbs by " on "', path)
        yield FieldGrant(level, scope, verbs, match["audited"] is not None)


def _level(text: Any, path: tuple[str, ...]) -> Level:
    if not isinstance(text, str) or text not in Level.__members__:
        raise BadDefinition(f"{text!r} is no level; there are: {', '.join(Level.__members__)}", path)
    return Level[text]


def _scope(text: Any, known: Iterable[str] | None, path: tuple[str, ...]) -> str:
    if not isinstance(text, str) or (known is not None and text not in known):
        names = f"; there are: {', '.join(known)}" if known is not None else ""
        raise BadDefinition(f"{text!r} is no row scope of this type{names}", path)
    return text


def _scopes(given: Any, known: Iterable[str] | None, path: tuple[str, ...]) -> frozenset[str]:
    """Return the scopes of a verb; NONE, which is none, stands alone."""
    if not isinstance(given, list):
        return frozenset({_scope(given, known, path)}) - {NONE}
    scopes = frozenset(_scope(scope, known, path) for scope in given)
    if not scopes or (NONE in scopes and len(scopes) > 1):
        raise BadDefinition(f"name at least one row scope, or {NONE} alone", path)
    return scopes - {NONE}


def format_scopes(scopes: Iterable[str]) -> list[str]:
    """Return the scopes of a verb as they are written, those of every type first; NONE for none."""
    order = {OWN: 0, TEAM: 1, ALL: 3}
    return sorted(scopes, key=lambda scope: (order.get(scope, 2), scope)) or [NONE]


def _format_verb(scopes: frozenset[str]) -> str | list[str]:
    written = format_scopes(scopes)
    return written[0] if len(written) == 1 else written


def _format_grant(given: Grant) -> dict[str, Any]:
    granted: dict[str, Any] = {
        verb: _format_verb(scopes) for verb, scopes in given.verbs.items() if scopes or verb not in BASIC_VERBS
    }
    granted[DEFAULT] = given.fields_default.name
    if given.fields:
        granted[FIELDS] = {name: [_format_field(field) for field in fields] for name, fields in given.fields.items()}
    return granted


def _format_field(given: FieldGrant) -> str:
    verbs = "" if given.verbs is None else f" on {','.join(sorted(given.verbs))}"
    return f"{given.level.name} {given.scope}{verbs}{' audited' if given.audited else ''}"
