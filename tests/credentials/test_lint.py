"""What lets somebody in is in the register: secrets that are kept as hashes, keys of purposes, cookies, prefixes, and
every place that makes claims or tokens. The attack: a kind of credential that nothing ends, because nobody knew of it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import crm_graph.api.schema
from crm_graph.db.base import Base
from crm_graph.identity.register import REGISTER

SOURCE = Path(crm_graph.__file__).parent
NO_CREDENTIAL = {
    "column trusted_document.sha256": "names a document, which anybody may have",
    "column trusted_document.schema_sha256": "names a schema",
    "column audit_entry.previous_hash": "chains entries",
    "purpose accounts in the log": "hides addresses in the log",
    "purpose attempts": "hides addresses in the counters",
    "purpose audit chain": "chains entries",
    "purpose cursor sealing": "a cursor is bound to a list and a member, and lets nobody in",
    "purpose idempotency": "makes fingerprints of what was asked under a key, which is of whoever is in already",
    "purpose mail": "what is to be sent: the links in it are hashed in their table",
    "purpose provider client secret": "lets us in at a provider, and nobody in here",
    "purpose webhook signing secret": "proves to others who we are",
    "cookie crm_backup_": "a slot of replication",
    "cookie crm_doctor": "a database that doctor makes for a moment",
    "cookie crm_events": "a channel of Postgres",
}
"""What looks like one and is none, and why."""
SECRET = re.compile(r"(sha256|salt|_hash|totp_secret|user_code)\Z")
PURPOSE = re.compile(r'^_?[A-Z_]*PURPOSE = "([^"]+)"|Spelling\("[^"]+", "([^"]+)"\)|\.keys\("([^"]+)"', re.MULTILINE)
PREFIX = re.compile(r'"(crm[a-z]_)"')
COOKIE = re.compile(r'"(?:__Host-|__Secure-)?(crm_(?!graph|jobs)[a-z_]+)"')
CLAIMS_ARE_MADE_IN = {
    "identity/tokens.py": "an access token of ours, and nobody",
    "identity/authenticate.py": "a member who is looked up, for those who may see them",
    "domains/identity/clients/keys.py": "API keys",
    "domains/identity/providers/bearer.py": "tokens of other issuers",
    "domains/platform/jobs/exports.py": "jobs, which act for who asked for them",
    "api/contexts.py": "a viewer who was just read",
    "cli/data/importing.py": "the operator, as a member",
}


def sources() -> Iterator[tuple[str, str]]:
    """Yield path and text of every source file."""
    for path in sorted(SOURCE.rglob("*.py")):
        yield str(path.relative_to(SOURCE)), path.read_text(encoding="utf-8")


def marks() -> Iterator[str]:
    """Yield what the code shows of kinds of credentials."""
    for table in Base.metadata.sorted_tables:
        yield from (f"column {table.name}.{column.name}" for column in table.columns if SECRET.search(column.name))
    for _, text in sources():
        yield from (f"purpose {next(filter(None, found))}" for found in PURPOSE.findall(text))
        yield from (f"prefix {found}" for found in PREFIX.findall(text))
        yield from (f"cookie {found}" for found in COOKIE.findall(text))


def test_every_kind_is_in_the_register() -> None:
    known = {mark for each in REGISTER for mark in each.marks}
    found = set(marks())
    assert found - known - NO_CREDENTIAL.keys() == set(), "add a row to identity/register.py, or say why it is none"
    assert known - found == set(), "the register names what is not in the code any more"


def test_claims_are_made_where_the_register_knows() -> None:
    """Whoever makes claims lets somebody in."""
    found = {path for path, text in sources() if re.search(r"\bClaims\(", text)}
    assert found == set(CLAIMS_ARE_MADE_IN)


def unbound(text: str) -> Iterator[int]:
    """Yield the lines where an access token is made that names neither a session nor a key."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        is_partial = called == "partial" and node.args and ast.unparse(node.args[0]) in {"issue", "authority.issue"}
        if called.endswith("authority.issue") or is_partial:
            names = {each.arg for each in node.keywords}
            if not names & {"session_id", "key_id"}:
                yield node.lineno


def test_every_token_names_what_it_came_from() -> None:
    """A token that names neither would outlive whatever its member does; only tests make such."""
    found = [f"{path}:{line}" for path, text in sources() for line in unbound(text)]
    assert found == []
    assert list(unbound("x = services.authority.issue(a, b, c)\n")) == [1]
    assert list(unbound("x = partial(issue, a, session_id=b)\n")) == []
