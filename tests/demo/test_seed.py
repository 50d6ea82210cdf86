"""Demo data: of the size that was asked for, the same every time, and as the operations would have written it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from crm_graph.cli.commands.seed import seed as seed_command
from crm_graph.db.pool import Database
from crm_graph.db.statements import Statement, compile_statement
from crm_graph.demo.copy import numeric_of_hundredths
from crm_graph.demo.dice import Dice, spread
from crm_graph.demo.seed import Seeded, make, seed
from crm_graph.demo.times import END
from crm_graph.domains.customers.customers.policy import CUSTOMER
from crm_graph.domains.identity.accounts.directory import MemberDirectory
from crm_graph.domains.orders.orders.policy import ORDER
from crm_graph.domains.sales.opportunities.policy import OPPORTUNITY
from crm_graph.domains.workspace.workspaces.directory import FIND
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.errors import OperatorError
from crm_graph.permissions.grants import OWN, TEAM
from crm_graph.permissions.policy import Policy, workspace
from crm_graph.permissions.roles import BUILT_IN
from tests.support.database import clone
from tests.support.graph import Graph

CUSTOMERS = 523  # two batches, a remainder in each pattern, and one member more than the first twelve
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")

EXACT = {
    "team": 9,
    "member": 15,
    "member_role": 15,
    "product": 40,
    "pipeline": 1,
    "stage": 6,
    "customer": CUSTOMERS,
    "contact": 2 * CUSTOMERS,
    "opportunity": 3 * CUSTOMERS,
    "sales_order": 2 * CUSTOMERS,
    "order_line": 6 * CUSTOMERS,
    "ticket": 2 * CUSTOMERS,
    "ticket_counter": 1,
    "campaign": CUSTOMERS // 50,
    "campaign_member": CUSTOMERS // 50 * 20,
}

BROKEN_RULES = {
    "a line is quantity times price less its discount": """
        SELECT 1 FROM order_line WHERE workspace_id = $1 AND
            total IS DISTINCT FROM round(quantity * unit_price * (100 - discount_percent) / 100, 4)
        UNION ALL SELECT 1 FROM opportunity_line WHERE workspace_id = $1 AND
            total IS DISTINCT FROM round(quantity * unit_price * (100 - discount_percent) / 100, 4)""",
    "an order is the sum of its lines": """
        SELECT 1 FROM sales_order o WHERE workspace_id = $1 AND subtotal IS DISTINCT FROM (
            SELECT sum(total) FROM order_line l WHERE l.workspace_id = o.workspace_id AND l.order_id = o.id)""",
    "and its total that less the discount": """
        SELECT 1 FROM sales_order WHERE workspace_id = $1 AND
            total IS DISTINCT FROM round(subtotal * (100 - discount_percent) / 100, 4)""",
    "whoever unsubscribed is known to have": """
        SELECT 1 FROM campaign_member m FULL JOIN unsubscription u
            ON u.workspace_id = m.workspace_id AND u.party_id = coalesce(m.contact_id, m.customer_id)
        WHERE coalesce(m.workspace_id, u.workspace_id) = $1 AND (m.status = 'UNSUBSCRIBED' AND u.since IS NULL
            OR m.status IS NULL)""",
    "an order has three lines in its currency": """
        SELECT 1 FROM sales_order o WHERE workspace_id = $1 AND 3 <> (
            SELECT count(*) FROM order_line l
            WHERE l.workspace_id = o.workspace_id AND l.order_id = o.id AND l.currency = o.currency)""",
    "an opportunity with lines is worth them": """
        SELECT 1 FROM opportunity o JOIN (
            SELECT opportunity_id, sum(total) AS total FROM opportunity_line WHERE workspace_id = $1 GROUP BY 1
        ) l ON l.opportunity_id = o.id WHERE workspace_id = $1 AND amount IS NOT NULL AND amount <> l.total""",
    "status and probability of an opportunity are its stage's": """
        SELECT 1 FROM opportunity o JOIN stage s ON s.workspace_id = o.workspace_id AND s.id = o.stage_id
        WHERE o.workspace_id = $1 AND (o.status <> s.kind OR o.probability <> s.probability
            OR o.pipeline_id <> s.pipeline_id)""",
    "a closed opportunity has a day, a lost one a reason": """
        SELECT 1 FROM opportunity WHERE workspace_id = $1 AND (
            (status = 'OPEN') <> (closed_on IS NULL) OR (status = 'LOST') <> (lost_reason IS NOT NULL)
            OR closed_on < opened_on)""",
    "an opportunity has what its stage requires": """
        SELECT 1 FROM opportunity o JOIN stage s ON s.workspace_id = o.workspace_id AND s.id = o.stage_id
        WHERE o.workspace_id = $1 AND ('amount' = ANY(required_fields) AND amount IS NULL
            OR 'expectedClose' = ANY(required_fields) AND expected_close IS NULL)""",
    "the history of an opportunity starts from nothing and leads to its stage": """
        SELECT 1 FROM opportunity o WHERE workspace_id = $1 AND (
            SELECT bool_and(from_stage_id IS NOT DISTINCT FROM before)
                AND (array_agg(to_stage_id ORDER BY id))[count(*)] = o.stage_id AND max(moved_at) = o.stage_since
                AND sum(seconds_in_stage) IS NOT DISTINCT FROM
                    nullif(extract(epoch FROM max(moved_at) - min(moved_at)), CASE WHEN count(*) = 1 THEN 0 END)
            FROM (SELECT *, lag(to_stage_id) OVER (ORDER BY id) AS before FROM stage_move m
                  WHERE m.workspace_id = o.workspace_id AND m.opportunity_id = o.id) moves) IS NOT TRUE""",
    "the history of an order starts from nothing and leads to its status": """
        SELECT 1 FROM sales_order o WHERE workspace_id = $1 AND (
            SELECT bool_and(from_status IS NOT DISTINCT FROM before)
                AND (array_agg(to_status ORDER BY id))[count(*)] = o.status AND count(*) = o.version
                AND max(changed_at) = o.updated_at AND min(changed_at) = o.created_at
            FROM (SELECT *, lag(to_status) OVER (ORDER BY id) AS before FROM order_status_change c
                  WHERE c.workspace_id = o.workspace_id AND c.order_id = o.id) changes) IS NOT TRUE""",
    "an order has the times of the statuses it passed": """
        SELECT 1 FROM sales_order WHERE workspace_id = $1 AND (
            (submitted_at IS NULL) <> (status IN ('DRAFT', 'CANCELLED'))
            OR (approved_at IS NULL) <> (status NOT IN ('APPROVED', 'SHIPPED', 'DELIVERED', 'CLOSED'))
            OR (approved_at IS NULL) <> (approved_by_id IS NULL)
            OR (shipped_at IS NULL) <> (status NOT IN ('SHIPPED', 'DELIVERED', 'CLOSED'))
            OR (delivered_at IS NULL) <> (status NOT IN ('DELIVERED', 'CLOSED'))
            OR (closed_at IS NULL) <> (status <> 'CLOSED')
            OR (rejected_reason IS NULL) <> (status <> 'REJECTED')
            OR (cancelled_reason IS NULL) <> (status <> 'CANCELLED')
            OR approved_at < submitted_at OR shipped_at < approved_at OR delivered_at < shipped_at
            OR closed_at < delivered_at)""",
    "an order is approved by somebody who may": """
        SELECT 1 FROM sales_order o WHERE workspace_id = $1 AND approved_by_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM member_role r WHERE r.workspace_id = o.workspace_id AND r.member_id = o.approved_by_id
                AND role IN ('sales_manager', 'admin'))""",
    "an order for an opportunity is for one that its customer gave": """
        SELECT 1 FROM sales_order o JOIN opportunity d ON d.workspace_id = o.workspace_id AND d.id = o.opportunity_id
        WHERE o.workspace_id = $1 AND (d.status <> 'WON' OR d.customer_id <> o.customer_id)""",
    "order numbers run without gaps, and the counter stands at the last": """
        SELECT 1 FROM sales_order o FULL JOIN order_counter c
            ON c.workspace_id = o.workspace_id AND split_part(number, '-', 2)::int = c.year
        WHERE coalesce(o.workspace_id, c.workspace_id) = $1 GROUP BY year
        HAVING count(*) <> max(last) OR max(split_part(number, '-', 3)::int) <> max(last)
            OR bool_or(extract(year FROM ordered_on) <> year)""",
    "ticket numbers likewise": """
        SELECT 1 FROM ticket t JOIN ticket_counter c USING (workspace_id) WHERE workspace_id = $1
        HAVING count(*) <> max(last_number) OR max(substr(number, 3)::int) <> max(last_number)""",
    "a ticket has the times of the statuses it passed": """
        SELECT 1 FROM ticket WHERE workspace_id = $1 AND (
            (status = 'NEW') <> (assignee_id IS NULL) OR (status = 'NEW') <> (first_response_at IS NULL)
            OR (status IN ('RESOLVED', 'CLOSED')) <> (resolved_at IS NOT NULL AND resolution IS NOT NULL)
            OR (status = 'CLOSED') <> (closed_at IS NOT NULL)
            OR first_response_at < created_at OR resolved_at < first_response_at OR closed_at < resolved_at)""",
    "a ticket was first answered by its first public reply, of one or two": """
        SELECT 1 FROM ticket t WHERE workspace_id = $1 AND (
            SELECT count(*) BETWEEN 1 AND 2
                AND min(created_at) FILTER (WHERE public) IS NOT DISTINCT FROM t.first_response_at
            FROM ticket_reply r WHERE r.workspace_id = t.workspace_id AND r.ticket_id = t.id) IS NOT TRUE""",
    "the contact of a ticket or campaign is the customer's": """
        SELECT 1 FROM ticket t JOIN contact c ON c.workspace_id = t.workspace_id AND c.id = t.contact_id
        WHERE t.workspace_id = $1 AND c.customer_id <> t.customer_id
        UNION ALL
        SELECT 1 FROM campaign_member m JOIN contact c ON c.workspace_id = m.workspace_id AND c.id = m.contact_id
        WHERE m.workspace_id = $1 AND c.customer_id <> m.customer_id""",
    "a campaign member that answered has a time": """
        SELECT 1 FROM campaign_member WHERE workspace_id = $1 AND
            (status IN ('RESPONDED', 'CONVERTED')) <> (responded_at IS NOT NULL)""",
    "an active customer bought, another did not": """
        SELECT 1 FROM customer c WHERE workspace_id = $1 AND (lifecycle IN ('ACTIVE', 'CHURNED')) <> (
            EXISTS (SELECT 1 FROM opportunity o WHERE o.workspace_id = $1 AND o.customer_id = c.id AND status = 'WON')
            OR EXISTS (SELECT 1 FROM sales_order o WHERE o.workspace_id = $1 AND o.customer_id = c.id
                       AND approved_at IS NOT NULL))""",
    "an imported pipeline's stages are not among ours": """
        SELECT 1 FROM stage WHERE workspace_id = $1 AND name IN ('Prospecting', 'Engaging', 'Won', 'Lost')""",
}


class Twins:
    """The same seed in two databases, beside the workspaces of the template."""

    def __init__(self, first: Database, second: Database, seeded: Seeded) -> None:
        self.first = first
        self.second = second
        self.seeded = seeded

    async def rows(self, query: str, database: Database | None = None) -> list[Any]:
        """Return the rows of a query, whose $1 is the workspace."""
        statement = Statement(query, ("workspace_id",) if "$1" in query else (), {})
        reader = (database or self.first).primary_reader()
        return await reader.fetch(statement, {"workspace_id": self.seeded.workspace_id})


@pytest.fixture(scope="module")
async def twins(postgres: str, database_url: str) -> AsyncIterator[Twins]:
    """Two databases with the same demo data."""
    first = await Database.open(await clone(postgres, f"crm_twin_1_{WORKER}"))
    second = await Database.open(await clone(postgres, f"crm_twin_2_{WORKER}"))
    made = [await make(each, CUSTOMERS, slug="twin", name="双子 Twin") for each in (first, second)]
    assert made[0] == made[1]
    yield Twins(first, second, made[0])
    await first.close()
    await second.close()


async def test_the_proportions_are_exact(twins: Twins) -> None:
    assert {name: twins.seeded.rows[name] for name in EXACT} == EXACT
    counted = {
        name: (await twins.rows(f"SELECT count(*) FROM {name} WHERE workspace_id = $1"))[0][0]
        for name in twins.seeded.rows
    }
    assert counted == twins.seeded.rows


async def test_the_same_seed_makes_the_same_rows(twins: Twins) -> None:
    for name in ("workspace", *twins.seeded.rows):
        query = f"SELECT {name}::text AS row FROM {name} WHERE workspace_id = $1 ORDER BY 1"
        first = await twins.rows(query)
        assert first == await twins.rows(query, twins.second), name
        assert first, name


async def test_another_seed_makes_other_rows(twins: Twins) -> None:
    id_ = await seed(twins.first, 20, slug="sibling", name="Sibling", seed=2)
    names = "SELECT name FROM customer WHERE workspace_id = $1 ORDER BY id LIMIT 20"
    reader = twins.first.primary_reader()
    sibling = await reader.fetch(Statement(names, ("workspace_id",), {}), {"workspace_id": id_})
    assert len(sibling) == 20
    assert [row["name"] for row in sibling] != [row["name"] for row in await twins.rows(names)]


@pytest.mark.parametrize("rule", BROKEN_RULES)
async def test_no_row_breaks_a_rule(twins: Twins, rule: str) -> None:
    assert await twins.rows(BROKEN_RULES[rule]) == []


async def test_nothing_happens_before_it_began_or_in_the_future(twins: Twins) -> None:
    end = datetime.fromtimestamp(END, UTC).isoformat()
    for name in twins.seeded.rows:
        if name in ("member_role", "order_counter", "ticket_counter", "workspace_directory", "member_address"):
            continue
        if name == "unsubscription":  # whose time is that of the member
            continue
        wrong = f"updated_at < created_at OR updated_at > '{end}'"
        assert await twins.rows(f"SELECT 1 FROM {name} WHERE workspace_id = $1 AND ({wrong})") == [], name
    for name in ("contact", "opportunity", "sales_order", "ticket", "campaign_member"):
        query = f"""SELECT 1 FROM {name} t JOIN customer c ON c.workspace_id = t.workspace_id AND c.id = t.customer_id
            WHERE t.workspace_id = $1 AND t.created_at < c.created_at"""
        assert await twins.rows(query) == [], name


async def test_every_status_occurs(twins: Twins) -> None:
    for table, column, count in (
        ("customer", "lifecycle", 4),
        ("customer", "kind", 2),
        ("customer", "currency", 3),  # two and null
        ("opportunity", "stage_id", 6),
        ("sales_order", "status", 8),
        ("ticket", "status", 5),
        ("campaign_member", "status", 6),
    ):
        found = await twins.rows(f"SELECT DISTINCT {column} FROM {table} WHERE workspace_id = $1")
        assert len(found) == count, f"{table}.{column}: {found}"


async def test_there_is_an_account_of_every_role(twins: Twins) -> None:
    rows = await twins.rows(
        "SELECT DISTINCT ON (role) role, email FROM member_role JOIN member"
        " ON member.workspace_id = member_role.workspace_id AND member.id = member_id"
        " WHERE member.workspace_id = $1 AND status = 'ACTIVE' ORDER BY role, member.id"
    )
    assert dict(rows) == {
        "admin": "admin@example.com",
        "analyst": "analyst@example.com",
        "finance": "finance@example.com",
        "integration": "integration@example.com",
        "marketer": "marketer@example.com",
        "sales_manager": "manager@example.com",
        "sales_rep": "rep@example.com",
        "service_manager": "service@example.com",
        "support_agent": "support@example.com",
    }
    assert set(dict(rows)) == set(BUILT_IN)


@pytest.mark.parametrize("policy", [CUSTOMER, OPPORTUNITY, ORDER], ids=lambda policy: policy.type)
@pytest.mark.parametrize("email", ["rep@example.com", "manager@example.com"])
async def test_own_team_and_all_are_different_numbers(twins: Twins, policy: Policy, email: str) -> None:
    (member,) = await twins.rows(f"SELECT id FROM member WHERE workspace_id = $1 AND email = '{email}'")
    reader = twins.first.primary_reader()
    viewer = await MemberDirectory().find(
        reader, Claims(twins.seeded.workspace_id, member["id"], datetime.max.replace(tzinfo=UTC))
    )
    assert viewer is not None
    counts = []
    for scope in (OWN, TEAM, None):
        query = select(func.count()).select_from(policy.table).where(policy.table.c.workspace_id == workspace())
        if scope is not None:
            predicate = policy.predicate(scope, policy.table)
            assert predicate is not None
            query = query.where(predicate)
        counts.append((await reader.fetch(compile_statement(query), viewer.binds))[0][0])
    assert 0 < counts[0] < counts[1] < counts[2]


async def test_the_teams_have_managers_who_are_above_their_members(twins: Twins) -> None:
    assert await twins.rows("SELECT 1 FROM team WHERE workspace_id = $1 AND manager_id IS NULL") == []
    roots = await twins.rows("SELECT name FROM team WHERE workspace_id = $1 AND parent_id IS NULL")
    assert len(roots) == 1
    alone = await twins.rows("SELECT email FROM member WHERE workspace_id = $1 AND manager_id IS NULL ORDER BY email")
    assert [row["email"] for row in alone] == ["admin@example.com"]


async def test_what_is_created_next_goes_on_counting(graph: Graph) -> None:
    tickets = await graph.value("SELECT count(*) FROM ticket WHERE workspace_id = (SELECT id FROM workspace LIMIT 1)")
    data = await graph.data(
        'mutation { createTicket(input: {subject: "Next", kind: QUESTION, channel: WEB}) { ticket { number } } }'
    )
    assert data == {"createTicket": {"ticket": {"number": f"T-{tickets + 1}"}}}


async def test_the_log_has_the_workspace_and_nothing_else(twins: Twins) -> None:
    rows = await twins.rows("SELECT type FROM event WHERE workspace_id = $1")
    assert [row["type"] for row in rows] == ["WorkspaceCreated"]


async def test_an_interrupted_seeding_leaves_nothing(twins: Twins) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        assert (what, total) == ("customers", 1_000)
        if done:
            raise KeyError("interrupted")

    count = "SELECT (SELECT count(*) FROM workspace), (SELECT count(*) FROM customer), (SELECT count(*) FROM event)"
    before = await twins.rows(count)
    with pytest.raises(KeyError, match="interrupted"):
        await seed(twins.first, 1_000, slug="interrupted", name="Interrupted", progress=interrupt)
    assert await twins.rows(count) == before


async def test_a_short_name_is_taken_once(twins: Twins) -> None:
    with pytest.raises(OperatorError, match="there is a workspace 'twin' already"):
        await seed(twins.first, 1, slug="twin", name="Twin")


async def test_progress_counts_customers(twins: Twins) -> None:
    shown: list[tuple[str, int, int]] = []
    await seed(twins.second, 250, slug="shown", name="Shown", progress=lambda *given: shown.append(given))
    assert shown == [
        ("customers", 200, 250),
        ("customers", 250, 250),
        ("planner statistics", 0, 1),
        ("planner statistics", 1, 1),
    ]


async def test_the_command_makes_a_workspace_once(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRM_DATA_DIR", raising=False)
    monkeypatch.setenv("DATABASE_URL", twins.second.url)
    done = await asyncio.to_thread(CliRunner().invoke, seed_command, ["--customers", "1"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("seeded workspace demo-1: 1 customers, ")
    rows = await twins.second.primary_reader().fetch(FIND, {"slug": "demo-1"})
    assert [row["name"] for row in rows] == ["星河贸易 Galaxy Trading"]
    again = await asyncio.to_thread(CliRunner().invoke, seed_command, ["--customers", "1"])
    assert isinstance(again.exception, OperatorError)
    assert again.exception.what == "there is a workspace 'demo-1' already"
    assert "--workspace" in again.exception.fix


@pytest.mark.parametrize(("pattern", "count"), [((0, 2), 7), ((1, 1, 1, 5), 8), ((3,), 0)])
def test_spread_is_exact(pattern: tuple[int, ...], count: int) -> None:
    shares = spread(Dice(1), pattern, count)
    assert len(shares) == count
    assert sum(shares) == sum(pattern) // len(pattern) * count


@pytest.mark.parametrize("hundredths", [0, 1, 99, 100, 10_000, 10_001, 123_456_789, 99_999_999_999_999])
async def test_numbers_arrive_as_they_were(database_url: str, hundredths: int) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.set_type_codec(
        "numeric", schema="pg_catalog", encoder=numeric_of_hundredths, decoder=bytes, format="binary"
    )
    text = await connection.fetchval("SELECT $1::numeric::text", hundredths)
    await connection.close()
    assert text == f"{hundredths // 100}.{hundredths % 100:02d}"
