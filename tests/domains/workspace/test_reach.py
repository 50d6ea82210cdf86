"""Whose records members reach: the organisation as values, against what the directory says of the same rows."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from crm_graph.domains.identity.accounts.directory import MemberDirectory
from crm_graph.domains.workspace.members.reach import Organisation, Reach, read_organisation
from crm_graph.identity.tokens import Claims
from crm_graph.identity.viewer import Viewer
from crm_graph.permissions.access import Access
from crm_graph.work import Work
from tests.support.graph import Graph

ROOM = Organisation(
    teams={"top": (None, "boss"), "left": ("top", None), "right": ("top", "lead"), "deep": ("right", None)},
    members={"boss": None, "lead": "left", "rep": "deep", "other": "left", "alone": None},
    roles={},
)


def test_a_reach_is_of_the_subtrees_of_ones_team_and_of_those_that_one_manages() -> None:
    reaches = ROOM.reaches
    assert reaches["boss"] == Reach(
        frozenset({"top", "left", "right", "deep"}), frozenset({"boss", "lead", "rep", "other"})
    )
    assert reaches["lead"] == Reach(frozenset({"left", "right", "deep"}), frozenset({"lead", "other", "rep"}))
    assert reaches["rep"] == Reach(frozenset({"deep"}), frozenset({"rep"}))
    assert reaches["alone"] == Reach(frozenset(), frozenset({"alone"}))


def test_a_circle_of_teams_ends() -> None:
    circle = Organisation({"a": ("b", None), "b": ("a", None)}, {"one": "a"}, {})
    assert circle.reaches["one"] == Reach(frozenset({"a", "b"}), frozenset({"one"}))


@pytest.mark.parametrize("seed", range(3))
async def test_it_is_what_the_directory_says(graph: Graph, seed: int) -> None:
    """Any organisation: what is judged by is what is in force."""
    dice = random.Random(seed)
    workspace_id = await graph.value("SELECT id FROM workspace WHERE slug = 'demo'")
    members = [row[0] for row in await graph.rows("SELECT id FROM member WHERE workspace_id = $1", workspace_id)]
    teams = [row[0] for row in await graph.rows("SELECT id FROM team WHERE workspace_id = $1", workspace_id)]
    for team in teams:
        place = dice.choice([None, *teams]), dice.choice([None, *members])
        await graph.rows(
            "UPDATE team SET parent_id = $3, manager_id = $4 WHERE workspace_id = $1 AND id = $2",
            *(workspace_id, team, *place),
        )
    for member in members:
        update = "UPDATE member SET team_id = $3, status = 'ACTIVE' WHERE workspace_id = $1 AND id = $2"
        await graph.rows(update, workspace_id, member, dice.choice([None, *teams]))
    async with graph.database.transaction() as session:
        work = Work(session, Viewer(workspace_id, members[0], (), ()), Access({}, ""), lambda: datetime.now(UTC))
        reaches = (await read_organisation(work)).reaches
    for member in members:
        claims = Claims(workspace_id, member, datetime.now(UTC) + timedelta(hours=1))
        viewer = await MemberDirectory().find(graph.database.primary_reader(), claims)
        assert viewer is not None
        assert reaches[member] == Reach(frozenset(viewer.teams), frozenset(viewer.circle))
