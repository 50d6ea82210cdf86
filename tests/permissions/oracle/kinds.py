"""The record types as the oracle knows them: `facts.txt`, read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from crm_graph.kernel.naming import camel

VERBS = ("read", "create", "update", "delete")
LEAVES = frozenset(
    {"id", "text", "enum", "int", "decimal", "bool", "date", "moment", "code", "tag", "key", "texts", "json", "sealed"}
)
COMPUTED = frozenset({"seconds", "percent", "clock"})
"""How measures are computed: the seconds from one time to another, a number times a percentage, of what time it is."""
UNORDERED = frozenset({"id", "texts", "json", "sealed"})
"""The kinds of leaves that order nothing."""
TEXTS = frozenset({"text", "key"})
"""The kinds of leaves that are texts to look for; keys equal each other exactly."""
_LINE = re.compile(
    r"(?P<name>\w+) (?P<kind>->|=>|\w+)(\((?P<values>[\w,]+)\))?(?P<required>!)?(?P<rest>( [\w,]+)*?)"
    r"( mask (?P<mask>\w+))?( like (?P<like>\w+))?$"
)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record type.

    `of` is a leaf's kind, `money`, `one`, `many` or `measures`, which stands beside each `many`; `columns` are where
    its value lies (none for `many`); `target` is the type at the other end of an edge (that of an `id` is its own
    type), and `back` the field there that points to this type.
    """

    name: str
    of: str
    required: bool = False
    columns: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    mask: str | None = None
    like: str | None = None
    """The field whose rights it has: it tells of that."""
    target: str = ""
    back: str = ""

    @property
    def column(self) -> str:
        """The first column, which says whether there is a value at all."""
        return self.columns[0]


@cache
def _orders() -> Mapping[str, frozenset[str]]:
    schema = Path("schema/schema.graphql").read_text()
    enums = re.findall(r"^enum (\w+)OrderField \{(.*?)^\}", schema, re.MULTILINE | re.DOTALL)
    return {name: frozenset(re.findall(r"^  ([A-Z_]+)$", values, re.MULTILINE)) for name, values in enums}


@dataclass(slots=True)
class Kind:
    """A record type: its table, how its rows have an owner or follow a whole, its fields, its fields of Query."""

    name: str
    prefix: str
    table: str
    owner: str | None = None
    """The column of the owner's id."""
    also: tuple[str, ...] = ()
    """A row scope of its own: its name, then the column of a team, or a type with its columns of the row and a member.
    """
    account: str | None = None
    """The to-one field that leads to the customer by whom a row lies in ACCOUNT."""
    extra: tuple[str, ...] = ()
    """Further row scopes, in which rows that one owns do not lie by that: TEAM_ACCOUNT, and PUBLIC_ACCOUNT of parts."""
    like: str | None = None
    """The to-one field that leads to a row in whose scopes a row lies."""
    part: str | None = None
    """The to-one field that leads to the whole, in whose scopes a row lies."""
    bare: bool = False
    local: bool = False
    """Whether rows have no version and no times of making and changing."""
    kept: bool = False
    """Whether rows are archived, and deleted into a recycle bin."""
    history: bool = False
    """Whether versions of rows are kept."""
    roots: dict[str, str] = field(default_factory=dict)
    verbs: tuple[str, ...] = ()
    """The named transitions."""
    by_name: frozenset[str] = frozenset()
    """Those of them that are granted by name only; the others follow `update`."""
    fields: dict[str, Field] = field(default_factory=dict)
    computed: dict[str, Field] = field(default_factory=dict)
    """What aggregates measure beside fields: `of` says how it is computed, `values` of which fields."""

    def measured(self, name: str) -> Field:
        """Return what is measured under a name."""
        return self.computed.get(name) or self.fields[name]

    def made_of(self, each: Field) -> list[Field]:
        """Return the fields that a measure reads."""
        return [self.fields[name] for name in each.values] if each.of in COMPUTED else [each]

    def all(self, *of: str) -> list[Field]:
        """Return the fields of these kinds."""
        return [each for each in self.fields.values() if each.of in of]

    @property
    def leaves(self) -> list[Field]:
        """The fields whose value is one column."""
        return [each for each in self.fields.values() if each.of in LEAVES]

    @property
    def orders(self) -> frozenset[str]:
        """What the schema offers to order by."""
        return _orders()[self.name]

    @property
    def governed(self) -> list[Field]:
        """The fields that grants decide on: all but edges to many records, and measures over them."""
        return [each for each in self.fields.values() if each.of not in {"many", "measures"}]

    @property
    def named(self) -> list[Field]:
        """Those of them that have rights of their own."""
        return [each for each in self.governed if each.like is None]

    @property
    def whole(self) -> Kind | None:
        """The type that this one is a part of."""
        return None if self.part is None else kinds()[self.fields[self.part].target]

    @property
    def scopes(self) -> tuple[str, ...]:
        """The row scopes that mean something for this type."""
        follows = self.part or self.like
        if follows is not None:
            return (*kinds()[self.fields[follows].target].scopes, *self._more)
        return ("OWN", "TEAM", *self.also[:1], *self._more, "ALL") if self.owner else ("ALL",)

    @property
    def _more(self) -> tuple[str, ...]:
        return (*(("ACCOUNT",) if self.account else ()), *self.extra)

    @property
    def free(self) -> frozenset[str]:
        """The scopes of `extra` that the type has, or its whole."""
        return frozenset(self.extra) | (frozenset() if self.whole is None else self.whole.free)

    def shares(self, money: Field) -> bool:
        """Return whether an amount shares its currency with another one."""
        return sum(each.columns[1] == money.columns[1] for each in self.all("money")) > 1

    @property
    def currency(self) -> Field | None:
        """The field whose grant governs `currency` in filters and groups: that of the name, or the first amount."""
        return self.fields.get("currency") or next(iter(self.all("money")), None)


@cache
def kinds() -> Mapping[str, Kind]:
    """Return the record types by name."""
    found: dict[str, Kind] = {}
    for line in Path(__file__).with_name("facts.txt").read_text().splitlines():
        if line.startswith("type "):
            kind = _kind(line.split()[1:])
            found[kind.name] = kind
        elif " = " in line:
            name, _, how, needs = line.split()
            kind.computed[name] = Field(name, how, values=tuple(needs.split(",")))
        elif line and not line.startswith("#"):
            each = _field(line.strip())
            kind.fields[each.name] = each
    for kind in found.values():
        measured = [replace(each, name=f"{each.name}Aggregate", of="measures") for each in kind.all("many")]
        kind.fields = {each.name: each for each in (*_housekeeping(kind), *measured)} | kind.fields
    return found


def _kind(words: list[str]) -> Kind:
    name, prefix, table, *rest = words
    bare, kept, local = "bare" in rest, "kept" in rest, "local" in rest
    history = "history" in rest
    rest = rest[bare + kept + local + history :]
    said = dict(zip(rest[::2], rest[1::2], strict=True))
    verbs = said["verbs"].split(",") if "verbs" in said else []
    return Kind(
        name,
        prefix,
        table,
        owner=said.get("owner"),
        also=tuple(re.split(r"[:.]", said["also"])) if "also" in said else (),
        account=said.get("account"),
        extra=tuple(said["extra"].split(",")) if "extra" in said else (),
        like=said.get("like"),
        part=said.get("part"),
        bare=bare,
        kept=kept,
        local=local,
        history=history,
        roots={how: said[how] for how in ("one", "list", "aggregate") if how in said},
        verbs=tuple(verb.rstrip("!") for verb in verbs),
        by_name=frozenset(verb.rstrip("!") for verb in verbs if verb.endswith("!")),
    )


def _field(line: str) -> Field:
    found = _LINE.match(line)
    assert found is not None, f"facts.txt: cannot read {line!r}"
    name, kind, rest = found["name"], found["kind"], found["rest"].split()
    required = found["required"] is not None
    if kind == "->":
        return Field(name, "one", columns=(rest[1],), target=rest[0])
    if kind == "=>":
        return Field(name, "many", target=rest[0], back=rest[1])
    columns = tuple(rest[0].split(",")) if rest else (snake(name),)
    values = tuple(found["values"].split(",")) if found["values"] else ()
    return Field(name, kind, required, columns, values, found["mask"], found["like"])


def _housekeeping(kind: Kind) -> Iterable[Field]:
    yield Field("id", "id", True, ("id",), target=kind.name)
    if kind.bare:
        return
    yield Field("version", "int", True, ("version",))
    yield Field("createdAt", "moment", True, ("created_at",))
    yield Field("updatedAt", "moment", True, ("updated_at",))
    if kind.kept:
        yield Field("archivedAt", "moment", columns=("archived_at",))
        yield Field("deletedAt", "moment", columns=("deleted_at",))
    if kind.local:
        return
    for name in ("created_by", "updated_by"):
        yield Field(camel(name), "one", columns=(f"{name}_id",), target="Member")


def snake(name: str) -> str:
    """Return a name in snake case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
