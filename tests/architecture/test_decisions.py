"""Decisions are found by their tags: each has one, in its folder's section, and whatever refers to one finds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.decisions import faults, lost, paths, tags

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "crm_graph"
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
READ = ("src/**/*.py", "tests/**/*.py", "migrations/**/*.py", "docs/**/*.md", "*.md")
OWN = {"tests/architecture/decisions.py", "tests/architecture/test_decisions.py"}
APART = {".venv", ".git", "node_modules", "__pycache__"}


def folders() -> set[str]:
    """The folders and modules of the package, and the folders beside it."""
    inside = {path.stem for path in PACKAGE.iterdir()}
    return inside | {path.name for path in ROOT.iterdir() if path.is_dir()}


def test_tags_are_unique_and_in_their_sections() -> None:
    assert len(tags(ARCHITECTURE)) > 100
    assert faults(ARCHITECTURE, folders()) == []


def test_references_resolve() -> None:
    files = {path for pattern in READ for path in ROOT.glob(pattern) if not APART & set(path.parts)}
    texts = {path.relative_to(ROOT).as_posix(): path.read_text() for path in files}
    referring = {name: text for name, text in texts.items() if name not in OWN}
    assert len(referring) > 500
    assert lost(ARCHITECTURE, referring) == []


def test_files_that_are_named_exist() -> None:
    there = {f"/{path.relative_to(ROOT).as_posix()}" for path in ROOT.rglob("*") if not APART & set(path.parts)}
    folders_there = {f"{name}/" for name in there if (ROOT / name[1:]).is_dir()}
    named = {name for name in paths(ARCHITECTURE) if "<" not in name}
    assert len(named) > 60
    gone = {name for name in named if not any(path.endswith(f"/{name}") for path in there | folders_there)}
    assert gone == set()


BAD = {
    "twice": ("### events\n\n#### D-events-01 A\n\n#### D-events-01 B\n", "D-events-01 stands 2 times"),
    "no folder": ("### gone\n\n#### D-gone-01 A\n", "there is no folder gone"),
    "elsewhere": ("### events\n\n#### D-db-01 A\n", "D-db-01 stands in the section of events"),
    "order": (
        "### events\n\n#### D-events-02 A\n\n#### D-events-01 B\n",
        "the decisions of events are not in their order",
    ),
    "no tag": ("### events\n\n#### An event says it\n", "no heading of a decision: #### An event says it"),
}


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD.keys())
def test_the_lint_sees_what_it_is_for(text: str, said: str) -> None:
    assert said in faults(text, {"events", "db"})


def test_the_lint_sees_a_reference_to_nothing() -> None:
    assert lost("### db\n\n#### D-db-01 A\n", {"a.py": "see D-db-01", "b.py": "see D-db-02"}) == ["b.py: D-db-02"]
