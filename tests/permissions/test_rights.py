"""What decides what somebody may do is declared as a right, written under its rule, and by nothing else.

The attack: a field by which people reach more than before, that is written like any other: a team, a parent, a bound of
a client. So every column that the directory or a row scope reads is either a right (`Policy.decides`), or said here to
be data, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, get_named_type
from sqlalchemy.sql.visitors import iterate

from crm_graph.db.base import HOUSEKEEPING, Base, table_of
from crm_graph.domains.identity.accounts.directory import VIEWER
from crm_graph.domains.workspace.members.imports import IMPORTS
from crm_graph.domains.workspace.members.policy import MEMBER, TEAM
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.permissions.policy import Policy
from tests.permissions.tables.actions import WRITES

SOURCE = Path(__file__).parents[2] / "src" / "crm_graph"
KEYS = HOUSEKEEPING | {"directory_version"}
DATA: Mapping[tuple[str, str], str] = {
    ("member", "name"): "what people are called",
    ("member", "not_before"): "written when a member is suspended, by who may do that",
    ("api_client", "on_error"): "how its errors are answered",
    ("member", "external_id"): "what another system calls them",
    ("team", "name"): "what people call it; a provisioning rule that names it is an administrator's",
    ("api_key", "name"): "what people call it",
    ("api_key", "expires_at"): "of a key that its maker holds the roles of",
    ("api_key", "revoked_at"): "takes away a key, which anybody who may change the client is to be able to",
    ("workspace", "name"): "what people call it; read of roles, not of it",
    ("workspace", "time_zone"): "by which days begin",
    ("workspace", "fiscal_year_start"): "by which years begin",
    ("workspace", "base_currency"): "in which reports add up",
    ("member_session", "kind"): "read of members, not of it",
    ("member_session", "member_id"): "written by signing in alone",
    ("member_session", "revoked_at"): "ended by the member, and by who may act on their access",
    ("member_session", "expires_at"): "written by signing in alone",
    ("member_role", "member_id"): "the key; what is written is the role",
}
"""Columns that the directory reads, or that inputs of its types write, and that are no rights all the same."""
SHARES: Mapping[tuple[str, str], str] = {
    ("customer", "owner_id"): "who may change a customer may give it to somebody: that is how a CRM is worked with",
    ("account_team_member", "customer_id"): "the same, beside the owner",
    ("account_team_member", "member_id"): "the same, beside the owner",
    ("opportunity", "owner_id"): "as of customers",
    ("sales_order", "owner_id"): "as of customers",
    ("campaign", "owner_id"): "as of customers",
    ("campaign", "team_id"): "who may change a campaign may give it to a team",
    ("ticket", "assignee_id"): "as of customers",
    ("ticket", "queue_id"): "who may change a ticket may put it in a queue",
    **dict.fromkeys(
        ((table, "customer_id") for table in ("contact", "opportunity", "sales_order", "ticket")),
        "whose it is: it goes with the customer",
    ),
    ("ticket_reply", "public"): "whether the customer sees a reply: said by who writes it, once",
    ("job", "created_by_id"): "who asks for a job, never sent",
    ("audit_entry", "actor_id"): "who did it, never sent",
    ("member", "id"): "a member is their own",
}
"""Columns that row scopes read and that share one record, ordinarily, with the rights that its writer has on it."""
BESIDE = {"member_role": ("Member", "roles")}
"""Tables that hold what stands beside a row, and the name under which its policy declares it."""


def directory_reads(text: str = VIEWER.text) -> set[tuple[str, str]]:
    """Return the columns of which the statement that finds a viewer makes what they may do, and some of like names."""
    words = set(re.findall(r"\w+", text))
    return {
        (table.name, column.name)
        for table in Base.metadata.tables.values()
        if table.name in words
        for column in table.columns
        if column.name in words - KEYS
    }


def scope_reads(policies: Iterable[Policy]) -> set[tuple[str, str]]:
    """Return the columns that row scopes read, but for those that say what a row is a part of."""
    policies, found = tuple(policies), set()
    wholes = {(policy.table.name, policy.parent[1]) for policy in policies if policy.parent is not None}
    for policy in policies:
        for predicate in policy.predicates(policy.table):
            for element in iterate(predicate):
                table: Any = getattr(element, "table", None)
                if table is not None:
                    found.add((getattr(table, "element", table).name, getattr(element, "key", "")))
    keys = {(table, column) for table, column in found if column == "workspace_id" or _is_key(table, column)}
    return found - keys - wholes


def _is_key(table: str, column: str) -> bool:
    return column == "id" and table != "member"


def input_writes(schema: BuiltSchema, policies: Iterable[Policy]) -> Iterator[tuple[str, str, str]]:
    """Yield mutation, type and column of everything that an input or an import of a type of the directory writes."""
    of_type = {policy.type: policy for policy in policies if policy.directory or policy.decides}
    core = schema.core.mutation_type
    assert core is not None
    for table, write in WRITES:
        policy = of_type.get({"Account": "Member"}.get(table.type, table.type))
        if policy is None:
            continue
        input_ = get_named_type(core.fields[write.name].args["input"].type)
        assert isinstance(input_, GraphQLInputObjectType)
        for name in input_.fields:
            column = {"memberRoles": "roles"}.get(name, _snake(name))
            if column in policy.table.c or column == "roles":
                yield write.name, policy.type, column
    for spec in IMPORTS:
        for each in spec.columns:
            yield f"import of {spec.entity}", spec.policy.type, each.stored or each.name


def undeclared(columns: Iterable[tuple[str, str]], policies: Iterable[Policy]) -> set[tuple[str, str]]:
    """Return the columns that are neither rights nor said to be data."""
    rights = {(policy.table.name, name) for policy in policies for name in policy.decides}
    rights |= {(table, "role") for table, (type_, name) in BESIDE.items() if _declares(policies, type_, name)}
    return set(columns) - rights - {*DATA, *SHARES}


def _declares(policies: Iterable[Policy], type_: str, name: str) -> bool:
    return any(policy.type == type_ and name in policy.decides for policy in policies)


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def test_whatever_the_directory_reads_is_a_right(schema: BuiltSchema) -> None:
    assert undeclared(directory_reads(), schema.policies) == set()


def test_whatever_a_row_scope_reads_is_a_right_or_shares_one_record(schema: BuiltSchema) -> None:
    assert undeclared(scope_reads(schema.policies), schema.policies) == set()


def test_whatever_inputs_and_imports_of_the_directory_write_is_a_right_or_data(schema: BuiltSchema) -> None:
    tables = {policy.type: policy.table.name for policy in schema.policies}
    wrong = [
        f"{door}: {type_}.{column}"
        for door, type_, column in input_writes(schema, schema.policies)
        if column not in HOUSEKEEPING
        if not _declares(schema.policies, type_, column) and (tables[type_], column) not in DATA
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("policy", "column"), [(MEMBER, "team_id"), (MEMBER, "roles"), (TEAM, "parent_id"), (TEAM, "manager_id")]
)
def test_the_lint_finds_a_right_that_is_written_like_data(schema: BuiltSchema, policy: Policy, column: str) -> None:
    """Negative: a policy that forgets one of them is found by what the directory reads, and by the inputs."""
    careless = replace(policy, decides={name: rule for name, rule in policy.decides.items() if name != column})
    policies = [careless if each.type == policy.type else each for each in schema.policies]
    place = ("member_role", "role") if column == "roles" else (policy.table.name, column)
    assert undeclared(directory_reads(), policies) == {place}
    doors = [door for door, type_, name in input_writes(schema, policies) if (type_, name) == (policy.type, column)]
    assert len(doors) >= 2, doors


def test_the_lint_finds_a_new_scope(schema: BuiltSchema) -> None:
    """Negative: a scope of the industry makes whoever sets the industry give a reach."""
    (customer,) = (policy for policy in schema.policies if policy.type == "Customer")
    scopes = {**customer.scopes, "TRADE": lambda rows: rows.c.industry == "x"}
    assert undeclared(scope_reads([replace(customer, scopes=scopes)]), schema.policies) == {("customer", "industry")}


WRITERS = {
    "domains/workspace/members/operations.py": "roles, beside the member, under their rule (`_hold_roles`)",
    "domains/identity/accounts/invitations.py": "the name that somebody who accepts says is theirs",
    "domains/identity/authorizations/apps.py": "the built-in client of a workspace, as it always is",
    "api/webhooks/": "moves cursors and statuses of endpoints, past the unit of work",
    "domains/identity/clients/keys.py": "when a key was last used",
    "identity/endings.py": "ends credentials, each with what it came from",
    "domains/identity/providers/directory.py": "when a link was first used to sign in",
    "vault/": "encrypts columns anew",
}
"""Who writes tables that hold rights past `Work.create`, `save` and `delete`."""
_WRITES = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)|\b(?:insert|update|delete)\((?:table_of\()?(\w+)")


def writes_past(source: str, tables: Mapping[str, str]) -> list[str]:
    """Return the tables of rights that source text writes by statements of its own, by name or by class."""
    found = [sql or tables.get(name, "") for sql, name in _WRITES.findall(source)]
    return [table for table in found if table in set(tables.values())]


def _tables_of_rights(policies: Iterable[Policy]) -> dict[str, str]:
    tables = {policy.table.name for policy in policies if policy.decides} | {*BESIDE}
    classes = {mapper.class_.__name__: table_of(mapper.class_).name for mapper in Base.registry.mappers}
    return {name: table for name, table in {**classes, "_ROLES": "member_role"}.items() if table in tables}


def test_nothing_writes_rights_past_the_unit_of_work(schema: BuiltSchema) -> None:
    tables = _tables_of_rights(schema.policies)
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if not path.is_relative_to(SOURCE / "demo") and writes_past(path.read_text(), tables)
    }
    assert {name for name in found if not any(name.startswith(each) for each in WRITERS)} == set()


def test_that_lint_sees_what_it_is_for(schema: BuiltSchema) -> None:
    tables = _tables_of_rights(schema.policies)
    assert writes_past("X = Statement('UPDATE team SET parent_id = $3', ())", tables) == ["team"]
    assert writes_past("work.session.run(insert(table_of(MemberRole)).values(x))", tables) == ["member_role"]
    assert writes_past("update(ApiClient)", tables) == ["api_client"]
    assert writes_past("UPDATE customer SET name = $1", tables) == []
