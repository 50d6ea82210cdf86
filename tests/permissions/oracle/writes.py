"""Mutations: what each needs (`writes.txt`), random ones, and whether the permissions let a member do them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from tests.permissions.oracle.documents import Printer, Select
from tests.permissions.oracle.invent import NAMES, WORDS
from tests.permissions.oracle.kinds import Field, Kind, kinds
from tests.permissions.oracle.sight import Sight
from tests.permissions.oracle.world import ADMIN, Row, World, number

NOT_FOUND, FORBIDDEN = "NOT_FOUND", "FORBIDDEN"
TOP_LEVEL = "FORBIDDEN at the top"
"""How a mutation is refused whose verb or field is granted on no row: before anything is looked at."""


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a mutation: the field whose values it takes, and whether it writes that field."""

    name: str
    each: Field
    required: bool
    written: bool
    usual: Any
    """The default, whose sending writes nothing; None where there is none."""


@dataclass(frozen=True, slots=True)
class Write:
    """A mutation. `whole` is the input (for a `new` row) or the field that leads to the whole, and the verb on that;
    `over` the input by which nobody reaches a member with roles that they have not."""

    name: str
    kind: Kind
    verb: str
    record: str
    inputs: tuple[Input, ...]
    new: bool = False
    when: frozenset[str] = frozenset()
    whole: tuple[str, str] | None = None
    over: str | None = None

    @property
    def restores(self) -> bool:
        """Whether it is done to what is in the recycle bin."""
        return self.name.startswith("restore")


@dataclass(slots=True)
class Attempt:
    """One mutation that somebody tries: on this row (None for a new one, or an id that names nothing)."""

    write: Write
    values: dict[str, Any]
    target: str | None
    select: Select | None
    refers: list[tuple[Kind, str]] = field(default_factory=list)

    def text(self) -> tuple[str, dict[str, Any]]:
        """Return the GraphQL and its variables."""
        name = self.write.name
        printer = Printer({})
        selected = "deletedId" if self.select is None else f"{self.write.record} {printer.select(self.select)}"
        type_ = f"{name[0].upper()}{name[1:]}Input"
        if name in _SHARED_INPUT:
            type_ = "OrderInput"
        declared = "".join(f", ${variable}: {of}" for variable, (of, _) in printer.variables.items())
        body = f"{name}(input: $input) {{ {selected} errors {{ code field message }} }}"
        variables = {variable: value for variable, (_, value) in printer.variables.items()}
        return f"mutation($input: {type_}!{declared}) {{ {body} }}", {"input": self.values, **variables}


_SHARED_INPUT = frozenset({"submitOrder", "approveOrder", "reviseOrder", "shipOrder", "deliverOrder", "closeOrder"})


@cache
def writes() -> Mapping[str, Write]:
    """Return the mutations by name."""
    lines = Path(__file__).with_name("writes.txt").read_text().splitlines()
    found = (_write(line) for line in lines if line and not line.startswith("#"))
    return {each.name: each for each in found}


def _write(line: str) -> Write:
    head, _, tail = line.partition(" -> ")
    name, type_, verb, *rest = head.split()
    record, *inputs = tail.split()
    kind = kinds()[type_]
    new = "new" in rest
    said = dict(zip(rest[new::2], rest[new + 1 :: 2], strict=True))
    whole = said.get("in") or said.get("of")
    return Write(
        name,
        kind,
        verb,
        record,
        tuple(_input(kind, text) for text in inputs),
        new,
        frozenset(said["when"].split(",")) if "when" in said else frozenset(),
        None if whole is None else (whole.split(".")[0], whole.split(".")[1]),
        said.get("over"),
    )


def _input(kind: Kind, text: str) -> Input:
    name, mark, of = text.partition("=") if "=" in text else text.partition("~")
    name, _, usual = name.partition("+")
    required = name.endswith("!")
    name = name.rstrip("!")
    field_name = of or (name.removesuffix("Id") if name != "externalId" else name)
    return Input(name, kind.fields[field_name], required, mark != "~", True if usual == "true" else usual or None)


class Writer:
    """Makes attempts in a world."""

    def __init__(self, dice: random.Random, world: World) -> None:
        self.dice = dice
        self.world = world

    def attempt(self, sight: Sight, select: Callable[[Kind], Select], kind: str | None = None) -> Attempt:
        """Return a random attempt, of something that is done to a type if that is given; `select` makes the selection
        of a payload's record."""
        dice = self.dice
        known = [each for each in writes().values() if kind in {None, each.kind.name}]
        granted = [each for each in known if sight.may_somewhere(each.kind, each.verb)]
        write = dice.choice(granted if granted and dice.random() < 0.8 else known)
        if dice.random() < 0.4:  # more often what writes fields than what moves a record on
            write = dice.choice([each for each in granted or known if each.inputs] or known)
        attempt = Attempt(write, {}, None, None if write.record == "deletedId" else select(write.kind))
        if write.new:
            if write.name not in _WITHOUT_ID:
                attempt.values["id"] = f"{write.kind.prefix}_{dice.getrandbits(128):032x}"
            if write.whole is not None:
                whole = write.kind.fields[write.kind.part or ""]
                attempt.target = self.some_id(kinds()[whole.target])
                attempt.values[write.whole[0]] = f"{kinds()[whole.target].prefix}_{attempt.target}"
        else:
            attempt.target = self.target(write, sight)
            attempt.values["id"] = f"{write.kind.prefix}_{attempt.target}"
            row = self.world.stored(write.kind.name).get(attempt.target)
            if dice.random() < 0.15:
                attempt.values["ifVersion"] = dice.choice((1, 2, 3)) if row is None else row["version"]
        self.fill(attempt, sight)
        if write.name == "createOpportunity" and "stageId" not in attempt.values:
            attempt.refers.append((kinds()["Stage"], self.entry_stage()))
        return attempt

    def entry_stage(self) -> str:
        """Return the stage in which an opportunity starts that names none: it is referred to like one that is named."""
        stages = [row for row in self.world.of("Stage").values() if row["kind"] == "OPEN"]
        return str(min(stages, key=lambda row: (row["pipeline_id"], row["position"]))["id"])

    def target(self, write: Write, sight: Sight) -> str:
        """Return the id of a row: mostly one on which the transition is legal and permitted, or at least seen."""
        rows = list(
            (self.world.binned.get(write.kind.name, {}) if write.restores else self.world.of(write.kind.name)).values()
        )
        legal = [row for row in rows if not write.when or row["status"] in write.when]
        if self.dice.random() < 0.8:
            rows = legal or rows
        permitted = [row for row in rows if sight.may(write.kind, row, write.verb)]
        chosen = self.dice.random()
        if chosen < 0.6 and permitted:
            return str(self.dice.choice(permitted)["id"])
        return str(self.dice.choice(rows)["id"]) if rows and chosen < 0.97 else f"{self.dice.getrandbits(128):032x}"

    def fill(self, attempt: Attempt, sight: Sight) -> None:
        """Fill in all that is required and some of the rest; often what may be written on other rows only."""
        optional = [each for each in attempt.write.inputs if not each.required]
        chosen = self.dice.sample(optional, min(len(optional), self.dice.choice((0, 1, 1, 2, 3))))
        if attempt.write.new and self.dice.random() < 0.5:  # whose it is decides whether it may be made
            chosen += [each for each in optional if each.each.column == attempt.write.kind.owner]
        of = target_row(sight, attempt)
        if of is not None and not attempt.write.new and self.dice.random() < 0.4:
            kind, row, verb = *of, attempt.write.verb
            elsewhere = [each for each in optional if sight.writes_somewhere(kind, verb, each.each.name)]
            refused = [each for each in elsewhere if not sight.writes(kind, row, verb, each.each.name)]
            chosen = self.dice.sample(refused, 1) if refused else chosen
        for each in attempt.write.inputs:
            if each.required or each in chosen:
                attempt.values[each.name] = self.value(attempt, each.each)

    def value(self, attempt: Attempt, each: Field) -> Any:
        """Return a value of a field, in input form."""
        dice = self.dice
        match each.of:
            case "one":
                target = kinds()[each.target]
                key = self.some_id(target)
                attempt.refers.append((target, key))
                return f"{target.prefix}_{key}"
            case "enum":
                return dice.choice(each.values)
            case "money":
                amount = number(Decimal(dice.choice(("1", "99.5", "100", "250.5"))))
                part = attempt.write.kind.part is not None
                return amount if part else {"amount": amount, "currency": dice.choice(("CNY", "EUR"))}
            case "decimal":
                return str(dice.choice((1, 2, 5)))
            case "int":
                return dice.choice((1, 2, 3, 4))
            case "bool":
                return dice.random() < 0.5
            case "date":
                return (date(2026, 1, 1) + timedelta(days=dice.randint(0, 300))).isoformat()
            case "code":
                return dice.choice(("CNY", "EUR"))
        unique = each.name in {"externalId", "sku", "number"}
        pool = (f"new {dice.getrandbits(32)}", "c1", "o1") if unique else (*NAMES, *WORDS)
        return f"{dice.getrandbits(32):x}@z.example" if each.name == "email" else dice.choice(pool)

    def some_id(self, kind: Kind) -> str:
        """Return the id of a row of a type, seldom one that names nothing."""
        found = list(self.world.of(kind.name))
        return self.dice.choice(found) if found and self.dice.random() < 0.97 else f"{self.dice.getrandbits(128):032x}"


_WITHOUT_ID = frozenset({"addOpportunityLine", "addAccountTeamMember"})


def written(attempt: Attempt) -> list[str]:
    """Return the fields that an attempt writes."""
    return [
        each.each.name
        for each in attempt.write.inputs
        if each.written
        and each.name in attempt.values
        and (each.usual is None or attempt.values[each.name] != each.usual)
    ]


def refusals(sight: Sight, attempt: Attempt) -> list[str]:
    """Return how the permissions refuse an attempt for what it is done to, the first reason first; nothing where they
    let it be tried."""
    write, world = attempt.write, sight.world
    fields, of = written(attempt), target_row(sight, attempt)
    row = None if write.new or of is None else of[1]
    found = []
    if not sight.may_somewhere(write.kind, write.verb) or not all(
        sight.writes_somewhere(write.kind, write.verb, name) for name in fields
    ):
        found.append(TOP_LEVEL)
    elif not write.new:
        unseen = write.restores and row is not None and not sight.may(write.kind, row, write.verb)
        found += [NOT_FOUND] if unseen else _refused(sight, write.kind, row, write.verb)
        if (
            not found
            and row is not None
            and not all(sight.writes(write.kind, row, write.verb, name) for name in fields)
        ):
            found.append(FORBIDDEN)
    if write.whole is not None and (write.new or row is not None):
        each = write.kind.fields[write.kind.part or ""]
        whole, key = kinds()[each.target], attempt.target if row is None else row[each.column]
        verb = write.whole[1]
        somewhere = sight.may_somewhere(whole, verb)
        found += _refused(sight, whole, world.of(whole.name).get(key or ""), verb) if somewhere else [TOP_LEVEL]
    return found


def further_refusals(sight: Sight, attempt: Attempt) -> list[str]:
    """Return how an attempt is refused for what it refers to, or for whom it would reach."""
    world = sight.world
    found = [NOT_FOUND for kind, key in attempt.refers if not _seen(sight, kind, world.of(kind.name).get(key))]
    row = world.of(attempt.write.kind.name).get(attempt.target or "")
    if attempt.write.name == "moveOpportunity" and row is not None and _wins(world, attempt):
        if not sight.may_somewhere(attempt.write.kind, "win"):
            found.append(TOP_LEVEL)
        elif not sight.may(attempt.write.kind, row, "win"):
            found.append(FORBIDDEN)
    if attempt.write.over in attempt.values and ADMIN not in sight.held:
        found += [FORBIDDEN for role in world.held.get(attempt.target or "", ()) if role not in sight.held]
    return found


def _wins(world: World, attempt: Attempt) -> bool:
    """Return whether a move is to a stage in which a deal is won."""
    stage = world.of("Stage").get(attempt.values["stageId"].partition("_")[2])
    return stage is not None and bool(stage["kind"] == "WON")


def target_row(sight: Sight, attempt: Attempt) -> tuple[Kind, Row] | None:
    """Return the row that an attempt names, or the whole that it adds to; None for one that is not there."""
    kind, write = attempt.write.kind, attempt.write
    if write.new:
        if write.whole is None:
            return None
        kind = kinds()[kind.fields[kind.part or ""].target]
    rows = sight.world.binned.get(kind.name, {}) if write.restores else sight.world.of(kind.name)
    row = rows.get(attempt.target or "")
    return None if row is None else (kind, row)


def _refused(sight: Sight, kind: Kind, row: Row | None, verb: str) -> list[str]:
    if row is None or not sight.sees(kind, row):
        return [NOT_FOUND]
    return [] if sight.may(kind, row, verb) else [FORBIDDEN]


def _seen(sight: Sight, kind: Kind, row: Row | None) -> bool:
    return row is not None and sight.sees(kind, row)


def refusals_to_make(sight: Sight, attempt: Attempt, row: Row) -> list[str]:
    """Return how the permissions refuse to make a row such as this one. Who may make it need not see it."""
    write = attempt.write
    if not sight.may(write.kind, row, write.verb):
        return [TOP_LEVEL]
    allowed = all(sight.writes(write.kind, row, write.verb, name) for name in written(attempt))
    return [] if allowed else [FORBIDDEN]
