"""The documentation is true where a machine can tell: links, the index, settings, commands and documents of GraphQL."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest
from graphql import parse, validate

from crm_graph.cli.main import commands
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.settings import Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
GRAPHQL = re.compile(r"^```graphql\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"crm-graph ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?")
SETTING = re.compile(r"`(CRM_[A-Z0-9_]*[A-Z0-9])\b(?!\*)")
ELSEWHERE = {
    *("CRM_DATA_DIR", "CRM_SECRET", "CRM_AUDIT_SECRETS", "CRM_MASTER_KEY", "CRM_KEY_SERVICE"),
    *("CRM_PG_BIN", "CRM_WORKER_PORT", "CRM_WORKERS", "CRM_TEST_DATABASE_URL"),
}
"""Variables that are read before or beside the settings."""


def without_code(text: str) -> str:
    """Return a page without its blocks of code, whose brackets are no links."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(page: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    wrong = []
    for link in LINK.findall(without_code(page.read_text())):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_resolve(page: Path) -> None:
    assert broken(page) == []


def test_the_lint_sees_a_link_to_nothing(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title\n[a](#a-title) [b](#no) [c](gone.md) [d](https://example.com) [e](page.md)\n")
    assert broken(page) == ["#no", "gone.md"]


def test_the_index_has_every_page() -> None:
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in LINK.findall((DOCS / "README.md").read_text())}
    assert [
        page.name for page in DOCS.rglob("*.md") if page != DOCS / "README.md" and page.resolve() not in linked
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_documents_of_graphql_are_valid(page: Path, schema: BuiltSchema) -> None:
    for document in GRAPHQL.findall(page.read_text()):
        assert [error.message for error in validate(schema.core, parse(document))] == [], document


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_settings_that_are_named_exist(page: Path) -> None:
    there = {f"CRM_{field.name.upper()}" for field in fields(Settings)} | ELSEWHERE
    assert set(SETTING.findall(page.read_text())) - there == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_that_are_named_exist(page: Path) -> None:
    context = click.Context(commands)
    text = page.read_text()
    said = [*re.findall(r"`([^`]+)`", without_code(text)), *re.findall(r"^crm-graph .*$", text, re.MULTILINE)]
    for name, second in COMMAND.findall("\n".join(" ".join(words.split()) for words in said)):
        command = commands.get_command(context, name)
        assert command is not None, f"crm-graph {name}"
        if second and isinstance(command, click.Group):
            assert command.get_command(context, second) is not None, f"crm-graph {name} {second}"
