"""Finding workspaces, which is done before anybody is known: by the operator of an installation."""

from __future__ import annotations

from crm_graph.db.statements import Statement

FIND = Statement("SELECT id, name, slug FROM workspace WHERE slug = $1", ("slug",), {})
LIST = Statement("SELECT id, name, slug FROM workspace ORDER BY created_at, id", (), {})
