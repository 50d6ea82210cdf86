"""What the files of clients' tools say: documents, ids, and what is wrong where."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from crm_graph.api.documents.cache import DocumentCache
from crm_graph.api.documents.manifests import SchemaDocuments, Unreadable, check_texts, read_texts
from crm_graph.domains.identity.clients.documents import NewDocument
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.settings import Settings

MD5 = "0123456789abcdef0123456789abcdef"
WHO = "query Who { viewer { member { name } } }"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def cache(schema: BuiltSchema) -> DocumentCache:
    return DocumentCache.of(schema, Settings())


def written(folder: Path, name: str, content: object) -> Path:
    """Write a file: text as it is, anything else as JSON, indented as the tools do it."""
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2, ensure_ascii=False))
    return path


def good(cache: DocumentCache, *files: Path, split: bool = False) -> list[NewDocument]:
    made, problems = check_texts(read_texts(files, split=split), cache)
    assert problems == []
    return made


def bad(cache: DocumentCache, *files: Path, split: bool = False) -> list[str]:
    """Return what is wrong, with the file's name only."""
    try:
        _, problems = check_texts(read_texts(files, split=split), cache)
    except Unreadable as error:
        problems = [error.problem]
    return [str(problem).replace(f"{problem.file.parent}/", "") for problem in problems]


def apollo(*operations: object, **changes: object) -> dict[str, object]:
    return {"format": "apollo-persisted-query-manifest", "version": 1, "operations": list(operations), **changes}


def test_a_graphql_file_is_one_document_byte_by_byte(cache: DocumentCache, tmp_path: Path) -> None:
    text = "# Two\nquery A { viewer { ...V } }\n\nquery B { viewer { ...V } }\nfragment V on Viewer { member { id } }\n"
    (made,) = good(cache, written(tmp_path, "deals.graphql", text))
    assert made == NewDocument(sha256(text), text, ("A", "B"))


def test_split_makes_each_operation_a_document_with_its_fragments(cache: DocumentCache, tmp_path: Path) -> None:
    operations = "query A{viewer{...V}} query B{__typename} fragment Unused on Viewer { __typename }"
    fragments = "fragment V on Viewer { member { ...M } }\nfragment M on Member { name }"
    files = written(tmp_path, "operations.graphql", operations), written(tmp_path, "fragments.gql", fragments)
    first, second = good(cache, *files, split=True)
    assert first.source == (
        "query A {\n  viewer {\n    ...V\n  }\n}\n\nfragment V on Viewer {\n  member {\n    ...M\n  }\n}\n\n"
        "fragment M on Member {\n  name\n}"
    )
    assert (first.operations, second.operations, second.source) == (("A",), ("B",), "query B {\n  __typename\n}")


@pytest.mark.parametrize(("id_", "aliases"), [(MD5, (MD5,)), (sha256(WHO), ()), (f"sha256:{sha256(WHO)}", ())])
def test_relay_and_codegen_map_ids_to_texts(
    cache: DocumentCache, tmp_path: Path, id_: str, aliases: tuple[str, ...]
) -> None:
    (made,) = good(cache, written(tmp_path, "persisted.json", {id_: WHO}))
    assert made == NewDocument(sha256(WHO), WHO, ("Who",), aliases)


def test_apollo_s_manifest(cache: DocumentCache, tmp_path: Path) -> None:
    operation = {"id": "who-1", "name": "Who", "type": "query", "body": WHO}
    (made,) = good(cache, written(tmp_path, "manifest.json", apollo(operation)))
    assert made == NewDocument(sha256(WHO), WHO, ("Who",), ("who-1",))


def test_one_text_in_several_files_is_one_document_with_all_of_its_ids(cache: DocumentCache, tmp_path: Path) -> None:
    operation = {"id": "who-1", "name": "Who", "type": "query", "body": WHO}
    files = written(tmp_path, "a.json", {MD5: WHO}), written(tmp_path, "b.json", apollo(operation))
    (made,) = good(cache, *files, written(tmp_path, "who.graphql", WHO))
    assert made == NewDocument(sha256(WHO), WHO, ("Who",), (MD5, "who-1"))


DEEP = "query Deep { " + "viewer { member { " * 7 + "id" + " }" * 15
PROBLEMS: dict[str, tuple[str, object, list[str] | None]] = {
    "a syntax error": ("a.graphql", "query A {\n  a[0]\n}", ["a.graphql:2: Syntax Error: Expected Name, found '['."]),
    "an unknown field": (
        "a.graphql",
        "query A { __typename }\n\nquery B {\n  nope\n}",
        ["a.graphql:4: B: Cannot query field 'nope' on type 'Query'."],
    ),
    "no operation": ("a.graphql", "fragment V on Viewer { __typename }", None),
    "over the limit": ("a.graphql", DEEP, None),
    "a manifest's document": (
        "a.json",
        {MD5: WHO, "other": "query Other {\n  nope\n}"},
        ["a.json:3: other: Cannot query field 'nope' on type 'Query'. (line 2 of the document)"],
    ),
    "a hash that lies": (
        "a.json",
        {f"sha256:{'0' * 64}": WHO},
        [f"a.json:2: sha256:{'0' * 64}: the id is not the hash of its text, which is sha256:{sha256(WHO)}"],
    ),
    "a reserved prefix": ("a.json", {"md5:1": WHO}, None),
    "an id that no request can name": ("a.json", {"who is it": WHO}, None),
    "an id without end": ("a.json", {"a" * 201: WHO}, None),
    "an empty id": ("a.json", {"": WHO}, None),
    "not JSON": ("a.json", '{\n"a": \n}', None),
    "a list": ("a.json", [WHO], ["a.json:1: must be a JSON object: ids and texts, or Apollo's manifest"]),
    "no text": ("a.json", {MD5: 7}, [f"a.json:2: {MD5}: must be the text of a document"]),
    "another version": ("a.json", apollo(version=2), None),
    "another format": ("a.json", apollo(format="other"), None),
    "an operation without a body": (
        "a.json",
        apollo({"id": "a", "name": "A"}),
        ["a.json:4: operation 1: must have an `id`, a `name` and a `body`"],
    ),
    "another operation's name": (
        "a.json",
        apollo({"id": "a", "name": "Other", "body": WHO}),
        ["a.json:6: Other: the document has no operation of this name"],
    ),
    "another ending": ("a.txt", WHO, ["a.txt:1: the name must end in .graphql, .gql or .json"]),
    "an unpaired surrogate": ("a.json", '{"a": "\\ud800"}', None),
}


@pytest.mark.parametrize(("name", "content", "said"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_a_bad_document_is_named(
    cache: DocumentCache, tmp_path: Path, name: str, content: object, said: list[str] | None
) -> None:
    found = bad(cache, written(tmp_path, name, content), written(tmp_path, "good.graphql", WHO))
    assert found == said if said is not None else len(found) == 1 and found[0].startswith(name), found


def test_one_id_cannot_name_two_texts(cache: DocumentCache, tmp_path: Path) -> None:
    files = written(tmp_path, "a.json", {"x": WHO}), written(tmp_path, "b.json", {"x": "{ __typename }"})
    assert bad(cache, *files) == ["b.json:2: x: the id x names another document of these files"]


def test_files_that_cannot_be_read(cache: DocumentCache, tmp_path: Path) -> None:
    assert bad(cache, tmp_path / "none.json") == ["none.json:1: cannot be read: No such file or directory"]
    (tmp_path / "latin.graphql").write_bytes(b"# \n# caf\xe9\n{ __typename }")
    assert bad(cache, tmp_path / "latin.graphql") == ["latin.graphql:2: is not UTF-8"]


def test_split_names_what_it_cannot_put_together(cache: DocumentCache, tmp_path: Path) -> None:
    twice = [written(tmp_path, f"{name}.graphql", "\nfragment V on Viewer { __typename }") for name in "ab"]
    assert bad(cache, *twice, split=True) == ["b.graphql:2: V: there are two fragments of this name"]
    missing = written(tmp_path, "c.graphql", "\n\nquery A { viewer { ...Nope } }")
    assert bad(cache, missing, split=True) == ["c.graphql:3: A: Unknown fragment 'Nope'. (line 3 of the document)"]


async def test_others_are_answered_between_two_documents(schema: BuiltSchema, cache: DocumentCache) -> None:
    beside = 0

    async def others() -> None:
        nonlocal beside
        while True:
            beside += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    texts = [f"query Q{index} {{ viewer {{ member {{ name }} }} }}" for index in range(10)]
    made = await SchemaDocuments(schema, cache).check([(text, ()) for text in texts])
    task.cancel()
    assert [each.source for each in made] == texts
    assert beside >= len(texts)
