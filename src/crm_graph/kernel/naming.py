"""How names are spelled: of types and fields in GraphQL, of columns in Python, and of both in sentences."""

from __future__ import annotations

import re
from functools import cache

_ACRONYMS = frozenset({"api"})
_IRREGULAR = {"person": "people"}
_AN = re.compile(r"(?!eu|one\b|u[^aeiou][aeiou])[aeiou]", re.IGNORECASE)
"""Begins as a vowel sounds: an order, an event, an update; not a unit, a user, a European."""


@cache
def camel(name: str) -> str:
    """Return a column's name as GraphQL spells it: `owner_id` is `ownerId`."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def pascal(name: str) -> str:
    """Return a field's Python name as GraphQL spells types: `create_order` is `CreateOrder`."""
    return "".join(part.capitalize() for part in name.split("_"))


def snake(name: str) -> str:
    """Return a name of GraphQL as Python spells it: `OrderLine` and `orderLine` are `order_line`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")


def words(name: str) -> str:
    """Return a name of GraphQL in words: `OrderLine` is `order line`."""
    return " ".join(word.upper() if word in _ACRONYMS else word for word in snake(name).split("_"))


def plural(name: str) -> str:
    """Return many of what a type names, in words: `order lines`, `opportunities`, `ticket replies`."""
    *before, word = words(name).split(" ")
    if word in _IRREGULAR:
        many = _IRREGULAR[word]
    elif re.search("[^aeiou]y$", word):
        many = f"{word[:-1]}ies"
    elif word.endswith("sis"):
        many = f"{word[:-2]}es"
    else:
        many = f"{word}es" if re.search("(s|x|z|ch|sh)$", word) else f"{word}s"
    return " ".join((*before, many))


def one(name: str) -> str:
    """Return one of what a type names, in words: `an order line`."""
    return f"{article(name)} {words(name)}"


def article(name: str) -> str:
    """Return the article of what a type names: `an`."""
    return "an" if _AN.match(words(name)) else "a"


def doing(verb: str) -> str:
    """Return a verb as it stands before what it is done to: `delete`, `change the lifecycle of`."""
    first, *rest = words(verb).split(" ")
    return f"{first} the {' '.join(rest)} of" if rest else first


def sentence(text: str) -> str:
    """Return a text with which a sentence begins."""
    return text[:1].upper() + text[1:]
