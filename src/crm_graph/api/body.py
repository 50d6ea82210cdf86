"""Reads a GraphQL request out of bytes: ours, because the stock parsers fail on what people send.

`null`, numbers, strings, invalid UTF-8, JSON nested a thousand levels deep, integers of five thousand digits: each is a
400 with a reason here, and a 500 or a dead socket elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from crm_graph.executor.results import OnError
from crm_graph.kernel.errors import CrmError

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, to its end or to the end of what is there."""
_OPENING = frozenset(b"[{")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


class BadRequest(CrmError):
    """Raised when the bytes are no GraphQL request; `status` is the HTTP status that says so."""

    def __init__(self, message: str, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.headers = dict(headers or {})


class BadOnError(BadRequest):
    """Raised where nothing but `onError` is wrong: ours, and so no fault in the protocol that a request came by."""


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """The parameters of one operation, of the right types. It has a `query`, a `document_id`, or both."""

    query: str | None
    operation_name: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    extensions: Mapping[str, Any] = field(default_factory=dict)
    document_id: str | None = None
    """The id of a trusted document, in whichever spelling it came."""
    on_error: OnError | None = None
    """What an error does to the response; None where the client's default decides."""
    idempotency_key: str | None = None
    """The key of all fields of a mutation that have none of their own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response to be sent: the body, and whether it answers a request that was not executed."""

    body: dict[str, Any]
    request_error: bool = False
    code: str | None = None
    content: bytes = b""
    """The body as JSON, where that was made already."""

    def json(self) -> bytes:
        """Return the body as JSON."""
        return self.content or orjson.dumps(self.body)


def parse_json(data: bytes | bytearray | str, max_depth: int) -> Any:
    """Return the value of JSON text. Raises BadRequest for text that is not JSON, or is nested too deep."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    _check_depth(raw, max_depth)
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {str(error)[:120]}.") from None


def parse_request(value: Any) -> GraphQLRequest:
    """Return the request that a JSON value is. Raises BadRequest saying which parameter is wrong."""
    if isinstance(value, list):
        raise BadRequest("Batches are not taken: send one operation per request.")
    if not isinstance(value, dict):
        raise BadRequest("The body must be a JSON object with a `query`.")
    query, name = _string(value, "query"), _string(value, "operationName")
    extensions = _object(value, "extensions")
    document_id = _document_id(value, query, extensions)
    if document_id is not None:
        query = query or None
    elif query is None:
        raise BadRequest("The parameter `query` is missing, and no `documentId` stands for it.")
    variables = _object(value, "variables")
    on_error = _on_error(value, extensions)  # last: see `BadOnError`
    return GraphQLRequest(query, name, variables, extensions, document_id, on_error)


def _on_error(value: Mapping[str, Any], extensions: Mapping[str, Any]) -> OnError | None:
    """Return what `onError` says beside `query`, or within `extensions`, which is all that many clients can set."""
    beside = _on_error_of(value.get("onError"), "parameter `onError`")
    within = _on_error_of(extensions.get("onError"), "extension `onError`")
    if beside is not None and within is not None and beside is not within:
        raise BadOnError(
            f"The parameter `onError` is {beside.value} and the extension {within.value}: send one of them."
        )
    return beside if within is None else within


def _on_error_of(given: Any, what: str) -> OnError | None:
    if given is None:
        return None
    if not isinstance(given, str) or given not in OnError.__members__:
        raise BadOnError(f"The {what} must be `NULL`, `PROPAGATE` or `HALT`.")
    return OnError[given]


def _document_id(value: Mapping[str, Any], query: str | None, extensions: Mapping[str, Any]) -> str | None:
    """Return the id of a trusted document: GraphQL over HTTP's `documentId`, Apollo's `extensions.persistedQuery`, or
    Relay's `doc_id` and `id`. The latter two only where there is no query: others number their requests so."""
    document_id = _string(value, "documentId")
    if document_id is None:
        document_id = _persisted_query(extensions)
    if document_id is None and not query:
        document_id = _string(value, "doc_id")
        document_id = _string(value, "id") if document_id is None else document_id
    if document_id == "":
        raise BadRequest("The id of a document must not be empty.")
    return document_id


def _persisted_query(extensions: Mapping[str, Any]) -> str | None:
    given = extensions.get("persistedQuery")
    if given is None:
        return None
    if not isinstance(given, dict) or given.get("version") != 1 or not isinstance(given.get("sha256Hash"), str):
        raise BadRequest("The extension `persistedQuery` must be `{version: 1, sha256Hash: String}`.")
    digest: str = given["sha256Hash"]
    return digest


def _string(value: Mapping[str, Any], name: str) -> str | None:
    text = value.get(name)
    if text is not None and not isinstance(text, str):
        raise BadRequest(f"The parameter `{name}` must be a string.")
    return text


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    nested = value.get(name)
    if nested is None:
        return {}
    if not isinstance(nested, dict):
        raise BadRequest(f"The parameter `{name}` must be a JSON object.")
    return nested


def _check_depth(raw: bytes | bytearray, maximum: int) -> None:
    """Raise BadRequest when brackets nest deeper than `maximum`: before parsing, and in one pass over the brackets
    alone. A loop over all bytes would take 15 ms for the longest body, whoever sends it."""
    if raw.count(b"[") + raw.count(b"{") <= maximum:
        return
    depth = 0
    for bracket in _STRING.sub(b"", raw).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in _OPENING else -1
        if depth > maximum:
            raise BadRequest(f"The body is nested deeper than {maximum} levels.")
