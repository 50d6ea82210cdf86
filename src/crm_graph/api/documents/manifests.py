"""The files of documents that clients' tools write: which documents are in them, and under which ids.

Taken are `.graphql` files, Relay's persisted queries and GraphQL Code Generator's persisted documents (both a JSON
object of ids to texts), and Apollo's persisted query manifest. A text is trusted as it stands: its SHA-256 is what
clients send.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    Node,
    OperationDefinitionNode,
    parse,
    print_ast,
    visit,
)
from graphql.language import Visitor

from crm_graph.api.documents.cache import DocumentCache, DocumentError, source_key
from crm_graph.api.documents.trusted import ID, MAX_ID_LENGTH, schema_sha256
from crm_graph.domains.identity.clients.documents import SHA256_PREFIX, NewDocument
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.errors import Refused

APOLLO_FORMAT = "apollo-persisted-query-manifest"
GRAPHQL_SUFFIXES = {".graphql", ".gql"}
MAX_FILE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a document: where it stands, and why it cannot be trusted."""

    file: Path
    line: int
    name: str
    reason: str

    def __str__(self) -> str:
        name = f" {self.name}:" if self.name else ""
        return f"{self.file}:{self.line}:{name} {self.reason}"


class Unreadable(Exception):
    """Raised for a file whose documents cannot be told."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Text:
    """A document as it was found in a file. `line` is where its id, or its first definition, stands there."""

    file: Path
    line: int
    name: str
    source: str
    id: str | None = None
    operation: str | None = None
    """The operation that the file says is in it."""
    lines_are_the_file_s: bool = False
    """Whether a line of the source is a line of the file."""


def read_texts(files: Sequence[Path], *, split: bool = False) -> list[Text]:
    """Return the documents of files, in their order. Raises Unreadable.

    A `.graphql` file is one document, its bytes as they are. With `split`, each operation of all these files is one,
    with the fragments that it needs from any of them, printed as graphql-js prints it.
    """
    texts: list[Text] = []
    graphql: list[tuple[Path, str]] = []
    for file in files:
        raw = _read(file)
        if file.suffix in GRAPHQL_SUFFIXES:
            graphql.append((file, raw))
            if not split:
                texts.append(Text(file, 1, "", raw, lines_are_the_file_s=True))
        elif file.suffix == ".json":
            texts += _manifest(file, raw)
        else:
            raise Unreadable(Problem(file, 1, "", "the name must end in .graphql, .gql or .json"))
    return texts + (list(_split(graphql)) if split else [])


def check_texts(texts: Iterable[Text], cache: DocumentCache) -> tuple[list[NewDocument], list[Problem]]:
    """Parse, limit and validate documents; returns those that are good, one for each text, and what is wrong."""
    documents: dict[str, NewDocument] = {}
    meant: dict[str, str] = {}
    problems: list[Problem] = []
    for text in texts:
        try:
            sha256 = source_key(text.source).hex()
            document = cache.get(text.source)
            alias = _alias(text, sha256)
            if alias is not None and meant.setdefault(alias, sha256) != sha256:
                raise _Wrong(f"the id {alias} names another document of these files")
        except DocumentError as error:
            problems += [_problem(text, fault) for fault in error.errors]
            continue
        except _Wrong as error:
            problems.append(Problem(text.file, text.line, text.name, str(error)))
            continue
        names = tuple(name or "" for name in document.operations)
        if text.operation is not None and text.operation not in names:
            problems.append(Problem(text.file, text.line, text.name, "the document has no operation of this name"))
            continue
        aliases = documents[sha256].aliases if sha256 in documents else ()
        aliases = tuple(dict.fromkeys((*aliases, alias))) if alias is not None else aliases
        documents[sha256] = NewDocument(sha256, text.source, names, aliases)
    return list(documents.values()), problems


class SchemaDocuments:
    """Checks documents that arrive by mutation as those of files are. Implements `DocumentCheck`."""

    def __init__(self, schema: BuiltSchema, cache: DocumentCache) -> None:
        self._schema = schema
        self._cache = cache
        self._sha256: str | None = None

    @property
    def schema_sha256(self) -> str:
        """What names the schema; printing it takes a while, so once."""
        if self._sha256 is None:
            self._sha256 = schema_sha256(self._schema)
        return self._sha256

    async def check(self, documents: Sequence[tuple[str, Sequence[str]]]) -> list[NewDocument]:
        """Return the documents of `(source, other ids)`. Raises Refused INVALID at the first that cannot be trusted.
        Others are answered between two of them: a hundred that are new here take seconds."""
        new_documents: list[NewDocument] = []
        meant: dict[str, str] = {}
        for number, (source, ids) in enumerate(documents):
            await asyncio.sleep(0)
            path = ("documents", str(number))
            try:
                sha256 = source_key(source).hex()
                document = self._cache.get(source)
                given = (_alias(Text(Path(), 1, "", source, id_), sha256) for id_ in ids)
                aliases = tuple(dict.fromkeys(id_ for id_ in given if id_ is not None))
            except DocumentError as error:
                raise Refused("INVALID", error.errors[0].message, (*path, "source")) from None
            except _Wrong as error:
                raise Refused("INVALID", f"In `aliases`: {error}.", (*path, "aliases")) from None
            if any(meant.setdefault(alias, sha256) != sha256 for alias in aliases):
                raise Refused("INVALID", "An id of this document names another one before it.", (*path, "aliases"))
            names = tuple(name or "" for name in document.operations)
            new_documents.append(NewDocument(sha256, source, names, aliases))
        return new_documents


class _Wrong(Exception):
    """Raised for an id that cannot be one of its document."""


def _alias(text: Text, sha256: str) -> str | None:
    """Return the id beside the hash, if there is one. Raises _Wrong for one that lies, or that no request can name."""
    id_ = text.id
    if id_ is None or id_ in (sha256, SHA256_PREFIX + sha256):
        return None
    if id_.startswith(SHA256_PREFIX):
        raise _Wrong(f"the id is not the hash of its text, which is {SHA256_PREFIX}{sha256}")
    if len(id_) > MAX_ID_LENGTH or not ID.match(id_):
        raise _Wrong(
            f"the id must have 1 to {MAX_ID_LENGTH} letters, digits and -._~+/=; a prefix must start with `x-`"
        )
    return id_


def _problem(text: Text, error: GraphQLError) -> Problem:
    within = error.locations[0].line if error.locations else 1
    if text.lines_are_the_file_s:
        return Problem(text.file, within, _name_at(text.source, within), error.message)
    reason = error.message if not error.locations else f"{error.message} (line {within} of the document)"
    return Problem(text.file, text.line, text.name, reason)


def _name_at(source: str, line: int) -> str:
    """Return the name of the definition that a line of a document is in; none where the document cannot be parsed."""
    try:
        definitions = parse(source).definitions
    except (GraphQLError, RecursionError):
        return ""
    before = [definition for definition in definitions if _start(definition) <= line]
    name = getattr(before[-1], "name", None) if before else None
    return name.value if name is not None else ""


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise Unreadable(Problem(file, 1, "", f"the file is longer than {MAX_FILE_BYTES} bytes"))
        return file.read_bytes().decode()
    except OSError as error:
        raise Unreadable(Problem(file, 1, "", f"cannot be read: {error.strerror or error}")) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise Unreadable(Problem(file, line, "", "is not UTF-8")) from None


def _manifest(file: Path, raw: str) -> Iterator[Text]:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Unreadable(Problem(file, error.lineno, "", f"is not JSON: {error.msg}")) from None
    if not isinstance(value, dict):
        raise Unreadable(Problem(file, 1, "", "must be a JSON object: ids and texts, or Apollo's manifest"))
    if "format" in value and "operations" in value:
        yield from _apollo(file, raw, value)
        return
    for id_, source in value.items():
        if not isinstance(source, str):
            raise Unreadable(Problem(file, _line(raw, id_), id_, "must be the text of a document"))
        yield Text(file, _line(raw, id_), id_, source, id_)


def _apollo(file: Path, raw: str, value: Mapping[str, Any]) -> Iterator[Text]:
    if value["format"] != APOLLO_FORMAT or value.get("version") != 1 or not isinstance(value["operations"], list):
        wanted = f'`{{"format": "{APOLLO_FORMAT}", "version": 1, "operations": [...]}}`'
        raise Unreadable(Problem(file, _line(raw, "format"), "", f"a manifest must be {wanted}"))
    for number, operation in enumerate(value["operations"], 1):
        match operation:
            case {"id": str(id_), "name": str(name), "body": str(body)}:
                yield Text(file, _line(raw, id_), name, body, id_, name)
            case _:
                line, reason = _line(raw, "operations"), "must have an `id`, a `name` and a `body`"
                raise Unreadable(Problem(file, line, f"operation {number}", reason))


def _line(raw: str, text: str) -> int:
    """Return the line on which a string of a JSON file stands first, as far as it is spelled plainly."""
    place = raw.find(orjson.dumps(text).decode())
    return raw.count("\n", 0, max(place, 0)) + 1


def _split(files: Sequence[tuple[Path, str]]) -> Iterator[Text]:
    nodes: list[tuple[Path, DocumentNode]] = []
    fragments: dict[str, FragmentDefinitionNode] = {}
    for file, raw in files:
        try:
            node = parse(raw)
        except GraphQLError as error:
            line = error.locations[0].line if error.locations else 1
            raise Unreadable(Problem(file, line, "", error.message)) from None
        except RecursionError:
            raise Unreadable(Problem(file, 1, "", "is nested too deep")) from None
        nodes.append((file, node))
        for definition in node.definitions:
            if isinstance(definition, FragmentDefinitionNode):
                name = definition.name.value
                if name in fragments:
                    raise Unreadable(Problem(file, _start(definition), name, "there are two fragments of this name"))
                fragments[name] = definition
    for file, node in nodes:
        for definition in node.definitions:
            if isinstance(definition, OperationDefinitionNode):
                needed = _needed(definition, fragments)
                source = "\n\n".join(print_ast(part) for part in (definition, *needed))
                yield Text(file, _start(definition), definition.name.value if definition.name else "", source)


def _needed(operation: Node, fragments: Mapping[str, FragmentDefinitionNode]) -> list[FragmentDefinitionNode]:
    """Return the fragments that an operation reaches, in the order in which it first does; unknown ones are left to
    validation."""
    spread: dict[str, FragmentDefinitionNode] = {}
    waiting: list[Node] = [operation]
    while waiting:
        spreads = _Spreads()
        visit(waiting.pop(0), spreads)
        for name in spreads.names:
            if name in fragments and name not in spread:
                spread[name] = fragments[name]
                waiting.append(fragments[name])
    return list(spread.values())


class _Spreads(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
        self.names.append(node.name.value)


def _start(node: Node) -> int:
    return node.loc.start_token.line if node.loc is not None else 1
