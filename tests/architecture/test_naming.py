"""Names are spelled in one place, as Strawberry spells them."""

from __future__ import annotations

import ast
from pathlib import Path

from strawberry.utils.str_converters import to_camel_case

from crm_graph.executor.rows import column_key
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.naming import camel

SOURCE = Path(__file__).parents[2] / "src" / "crm_graph"
APART = {"executor/rows.py"}
"""The executor knows graphql-core and nothing else."""


def test_fields_are_called_as_strawberry_calls_them(schema: BuiltSchema) -> None:
    """And as the executor, which knows of neither, finds them."""
    names = {each.python_name for record in schema.registry.records.values() for each in record.definition.fields}
    names |= {column.name for record in schema.registry.records.values() for column in record.table.columns}
    assert len(names) > 200
    for name in names:
        assert camel(name) == to_camel_case(name) == column_key(name)


def spells(source: str) -> bool:
    """Return whether code makes one spelling of another, letter by letter or word by word."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "strawberry.utils.str_converters":
            return True
        if isinstance(node, ast.GeneratorExp | ast.ListComp):
            calls = (each.func for each in ast.walk(node) if isinstance(each, ast.Call))
            called = {each.attr for each in calls if isinstance(each, ast.Attribute)}
            if called & {"isupper", "capitalize", "title"}:
                return True
    return False


def test_names_are_spelled_in_one_place() -> None:
    found = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if spells(path.read_text())}
    assert found - {"kernel/naming.py"} == APART


def test_the_lint_sees_what_it_is_for() -> None:
    assert spells("from strawberry.utils.str_converters import to_camel_case")
    assert spells("''.join(word.capitalize() for word in name.split('_'))")
    assert spells("''.join('_' + each.lower() if each.isupper() else each for each in name)")
    assert not spells("message.capitalize()")
