"""One name in its spellings: `order_line` in Python and SQL, `orderLine` and `OrderLine` in the graph, and words.

`camel` is what Strawberry makes of a field's Python name; a test holds both to each other.
"""

from __future__ import annotations


def camel(name: str) -> str:
    """Return a name of Python or SQL as a field: `unit_price` is `unitPrice`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def pascal(name: str) -> str:
    """Return a name of Python or SQL as a type: `order_line` is `OrderLine`."""
    return "".join(word.capitalize() for word in name.split("_"))


def snake(name: str) -> str:
    """Return a field or a type as a name of Python or SQL: `OrderLine` and `orderLine` are `order_line`."""
    return _apart(name, "_")


def words(name: str) -> str:
    """Return a name in words, whatever its spelling: `OrderLine` is `order line`."""
    return _apart(name, " ").replace("_", " ")


def plural(what: str) -> str:
    """Return many of what is given in words: `companies`, `order lines`."""
    if what.endswith("y") and what[-2:-1] not in {*"aeiou"}:
        return f"{what[:-1]}ies"
    return f"{what}es" if what.endswith(("s", "x", "ch", "sh")) else f"{what}s"


def one(what: str) -> str:
    """Return one of what is given in words: `an order line`."""
    is_vowel = what.startswith(("a", "e", "i", "o", "u")) and not what.startswith(("uni", "use", "eu"))
    return f"{'an' if is_vowel else 'a'} {what}"


def _apart(name: str, between: str) -> str:
    spelled = "".join(f"{between}{letter.lower()}" if letter.isupper() else letter for letter in name)
    return spelled.removeprefix(between)
