"""`client` and `documents`: the programs that use the API, and what they may run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import click
from rich.markup import escape

from crm_graph.api.documents.cache import DocumentCache
from crm_graph.api.documents.manifests import Unreadable, check_texts, read_texts
from crm_graph.api.documents.trusted import schema_sha256
from crm_graph.api.schema import make_schema
from crm_graph.app import page_limits
from crm_graph.cli.access.accounts import find_account
from crm_graph.cli.console import console
from crm_graph.cli.place import (
    Place,
    data_option,
    find_place,
    find_workspace,
    opened,
    operator_work,
    run,
    settings,
    workspace_option,
)
from crm_graph.db.pool import Database
from crm_graph.domains.identity.clients.documents import (
    SHA256_PREFIX,
    ListedDocument,
    NewDocument,
    Pushed,
    find_client,
    list_clients,
    list_documents,
    push_documents,
    remove_documents,
)
from crm_graph.domains.identity.clients.keys import ListedKey, list_keys
from crm_graph.domains.identity.clients.model import ClientKind, DocumentMode, OnError
from crm_graph.domains.identity.clients.operations import (
    create_api_client,
    create_api_key,
    revoke_api_key,
    update_api_client,
)
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.ids import decode_id, encode_id
from crm_graph.permissions.roles import ADMIN
from crm_graph.work import Work

MODES = {mode.value.lower().replace("_", "-"): mode for mode in DocumentMode}
ON_ERROR = {each.value.lower(): each for each in OnError}
MAX_SHOWN_PROBLEMS = 50
FIRST_KEY = "command line"
KEY_PREFIX = "apk"
T = TypeVar("T")

client_option = click.option(
    "--client", metavar="NAME", help="The API client; all clients of the workspace unless given."
)


@dataclass(frozen=True, slots=True)
class _Where:
    """The workspace that a command works in, and the client if one was named."""

    database: Database
    workspace_id: str
    client_id: str | None

    @asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        """Lend a unit of work of the operator, acting as the first administrator."""
        actor = await find_account(self.database, self.workspace_id, None, ADMIN)
        async with operator_work(self.database, self.workspace_id, actor.member_id) as work:
            yield work


@asynccontextmanager
async def _where(place: Place, workspace: str | None, client: str | None = None) -> AsyncIterator[_Where]:
    async with opened(place) as database:
        workspace_id = await find_workspace(database, workspace)
        client_id = None if client is None else await find_client_id(database, workspace_id, client)
        yield _Where(database, workspace_id, client_id)


async def find_client_id(database: Database, workspace_id: str, name: str) -> str:
    """Return the id of a client by its name. Raises OperatorError naming those there are."""
    clients = await list_clients(database.primary_reader(), workspace_id)
    if name not in clients:
        known = f"there are: {', '.join(clients)}" if clients else f"make it: `crm-graph client create {name}`"
        raise OperatorError(f"there is no API client {name!r}", known)
    return clients[name][0]


@click.group()
def client() -> None:
    """Make API clients and their keys, and list them. A token may name its client: `crm-graph token --client NAME`."""


@client.command("create")
@click.argument("name")
@click.option(
    "--mode", type=click.Choice(list(MODES)), default="open", show_default=True, help="See `crm-graph documents mode`."
)
@click.option("--role", "roles", multiple=True, help="A role with which it acts by itself; may be repeated.")
@click.option(
    "--member-role", "member_roles", multiple=True, help="A role that it may use for members; all unless given."
)
@click.option("--public", is_flag=True, help="It runs with its users and cannot keep a secret.")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Where members may be sent back to.")
@click.option("--on-error", type=click.Choice(list(ON_ERROR)), help="See `crm-graph client on-error`.")
@click.option("--key", "with_key", is_flag=True, help="Make a key too, and print it.")
@workspace_option
@data_option
def create_client(
    name: str,
    mode: str,
    roles: tuple[str, ...],
    member_roles: tuple[str, ...],
    public: bool,
    redirect_uris: tuple[str, ...],
    on_error: str | None,
    with_key: bool,
    workspace: str | None,
    data: Path | None,
) -> None:
    """Make a client known by its NAME.

    With `--key` its first key is printed to stdout: it is not shown again.
    """
    values = {
        "name": name,
        "document_mode": MODES[mode].value,
        "kind": (ClientKind.PUBLIC if public else ClientKind.CONFIDENTIAL).value,
        "roles": list(member_roles) or None,
        "redirect_uris": list(redirect_uris),
        "on_error": None if on_error is None else ON_ERROR[on_error].value,
    }

    async def create() -> str | None:
        async with _where(find_place(data), workspace) as where, where.work() as work:
            id_ = await create_api_client(work, values, (), roles or None)
            return (await create_api_key(work, id_, FIRST_KEY, None))[1] if with_key else None

    key = run(create())
    console.print(f"created the client {escape(name)}: {mode}", soft_wrap=True)
    if key is not None:
        click.echo(key)


@client.command("key")
@click.argument("name")
@click.option("--name", "key_name", default=FIRST_KEY, show_default=True, help="What to call the key.")
@click.option("--days", type=click.IntRange(1, 3650), help="How long it is good; always unless given.")
@workspace_option
@data_option
def make_key(name: str, key_name: str, days: int | None, workspace: str | None, data: Path | None) -> None:
    """Make another key of the client NAME and print it to stdout: it is not shown again."""

    async def create() -> str:
        async with _where(find_place(data), workspace, name) as where, where.work() as work:
            assert where.client_id is not None
            until = None if days is None else work.now + timedelta(days=days)
            return (await create_api_key(work, where.client_id, key_name, until))[1]

    click.echo(run(create()))


@client.command("keys")
@click.argument("name")
@workspace_option
@data_option
def list_all_keys(name: str, workspace: str | None, data: Path | None) -> None:
    """List the keys of the client NAME, a line each: id, name, prefix, made, last used, end; separated by tabs."""

    async def found() -> list[ListedKey]:
        async with _where(find_place(data), workspace, name) as where:
            assert where.client_id is not None
            return await list_keys(where.database.primary_reader(), where.workspace_id, where.client_id)

    for each in run(found()):
        end = f"revoked {each.revoked_at}" if each.revoked_at else each.expires_at or "-"
        id_ = encode_id(KEY_PREFIX, each.id)
        click.echo("\t".join((id_, each.name, each.prefix, each.created_at, each.last_used_at or "-", end)))


@client.command("revoke")
@click.argument("key_id", metavar="KEY")
@workspace_option
@data_option
def revoke(key_id: str, workspace: str | None, data: Path | None) -> None:
    """Revoke the KEY of an id that `crm-graph client keys` lists: it stops working with the next request."""
    inner = decode_id(KEY_PREFIX, key_id)
    if inner is None:
        raise OperatorError(f"{key_id!r} is no id of a key", "take one that `crm-graph client keys NAME` lists")

    async def write() -> None:
        async with _where(find_place(data), workspace) as where, where.work() as work:
            await revoke_api_key(work, inner)

    run(write())
    console.print(f"revoked {key_id}", soft_wrap=True)


@client.command("on-error")
@click.argument("name")
@click.argument("value", metavar="[VALUE]", type=click.Choice(list(ON_ERROR)), required=False)
@workspace_option
@data_option
def on_error_(name: str, value: str | None, workspace: str | None, data: Path | None) -> None:
    """Print or set what an error does to the answers of the client NAME, where a request does not say it by `onError`.

    \b
      propagate  null rises to the nearest position that may be null: GraphQL's own, and the default
      null       the failed position is null, also where its type forbids it, and nothing else is
      halt       the first error ends the operation: no data, and that error

    It is in force in every process within CRM_TRUSTED_CACHE_MS.
    """

    async def change() -> str:
        async with _where(find_place(data), workspace, name) as where:
            assert where.client_id is not None
            if value is not None:
                async with where.work() as work:
                    await update_api_client(work, where.client_id, {"on_error": ON_ERROR[value].value}, (), None)
            found = await find_client(where.database.primary_reader(), where.workspace_id, where.client_id)
        assert found is not None
        return (found.on_error or OnError.PROPAGATE).value.lower()

    click.echo(run(change()))


@client.command("list")
@workspace_option
@data_option
def list_all_clients(workspace: str | None, data: Path | None) -> None:
    """List the clients of a workspace with their modes."""

    async def lines() -> list[str]:
        async with _where(find_place(data), workspace) as where:
            found = await list_clients(where.database.primary_reader(), where.workspace_id)
        return [f"{name}\t{_mode_name(mode)}" for name, (_, mode) in found.items()]

    for line in run(lines()):
        click.echo(line)


@click.group()
def documents() -> None:
    """Trust documents: clients run them by id, and a client can be held to them.

    \b
      crm-graph documents push --client web persisted-documents.json
      crm-graph documents mode --client web trusted-only
    """


@documents.command("push")
@click.argument("files", metavar="FILES...", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@client_option
@click.option(
    "--split", is_flag=True, help="Each operation of .graphql files is a document, with the fragments that it needs."
)
@workspace_option
@data_option
def push(files: tuple[Path, ...], client: str | None, split: bool, workspace: str | None, data: Path | None) -> None:
    """Trust the documents of FILES. All are checked against the schema and the limits first; one bad document, and
    nothing is written. Pushing again changes nothing.

    FILES are .graphql files (each one document, byte by byte, unless --split), Relay's persisted queries, GraphQL Code
    Generator's persisted documents, or Apollo's persisted query manifest. Each document can be run by `sha256:` and the
    hash of its text, and by the id that the tool gave it.
    """
    made, schema = _checked(files, split)

    async def write() -> Pushed:
        async with _where(find_place(data), workspace, client) as where, where.work() as work:
            return await push_documents(work, where.client_id, made, schema)

    pushed = run(write())
    names = {each.sha256: ", ".join(filter(None, each.operations)) or "(anonymous)" for each in made}
    for what, hashes in (("added", pushed.added), ("new id", pushed.aliased)):
        for sha256 in hashes:
            click.echo(f"{what}\t{SHA256_PREFIX}{sha256}\t{names[sha256]}")
    counts = f"{len(pushed.added)} added, {len(pushed.aliased)} with a new id, {len(pushed.unchanged)} unchanged"
    console.print(f"{counts}: for {escape(client or 'all clients')}", soft_wrap=True)


def _checked(files: tuple[Path, ...], split: bool) -> tuple[list[NewDocument], str]:
    """Return the documents of files and what names the schema that they are valid against; exits with 1 if one is
    not."""
    options = settings()
    schema = make_schema(page_limits(options))
    cache = DocumentCache.of(schema, options)
    try:
        made, problems = check_texts(read_texts(files, split=split), cache)
    except Unreadable as error:
        made, problems = [], [error.problem]
    if problems:
        for problem in problems[:MAX_SHOWN_PROBLEMS]:
            console.print("[red]bad:[/red]", escape(str(problem)), soft_wrap=True)
        console.print(f"{len(problems)} problems: nothing was written", soft_wrap=True)
        raise click.exceptions.Exit(1)
    return made, schema_sha256(schema)


@documents.command("list")
@client_option
@workspace_option
@data_option
def list_trusted(client: str | None, workspace: str | None, data: Path | None) -> None:
    """List trusted documents, a line each: hash, client, operations, other ids, time; separated by tabs."""

    async def found() -> list[ListedDocument]:
        async with _where(find_place(data), workspace, client) as where:
            reader = where.database.primary_reader()
            return await list_documents(reader, where.workspace_id, where.client_id, everything=client is None)

    for each in run(found()):
        shown = (
            f"{SHA256_PREFIX}{each.sha256}",
            each.client or "(all)",
            ", ".join(filter(None, each.operations)) or "(anonymous)",
            ", ".join(each.aliases) or "-",
            each.created_at,
        )
        click.echo("\t".join(shown))


@documents.command("mode")
@click.argument("mode", type=click.Choice(list(MODES)), required=False)
@click.option("--client", metavar="NAME", required=True, help="The API client.")
@workspace_option
@data_option
def mode_(mode: str | None, client: str, workspace: str | None, data: Path | None) -> None:
    """Print or set what a client may run.

    \b
      open          any document
      warn          any document; one that is not trusted is counted and logged
      trusted-only  trusted documents and nothing else

    It is in force in every process within CRM_TRUSTED_CACHE_MS. For tokens that name no client, CRM_DOCUMENT_MODE
    says it.
    """

    async def change() -> str:
        async with _where(find_place(data), workspace, client) as where:
            if mode is not None:
                assert where.client_id is not None
                async with where.work() as work:
                    await update_api_client(work, where.client_id, {"document_mode": MODES[mode].value}, (), None)
            clients = await list_clients(where.database.primary_reader(), where.workspace_id)
        return _mode_name(clients[client][1])

    click.echo(run(change()))


@documents.command("remove")
@click.argument("ids", metavar="IDS...", nargs=-1, required=True)
@client_option
@workspace_option
@data_option
def remove(ids: tuple[str, ...], client: str | None, workspace: str | None, data: Path | None) -> None:
    """Trust documents no more, given by `sha256:...` or another id: all of them, or none if one is unknown.

    No process runs them any more after CRM_TRUSTED_CACHE_MS.
    """

    async def write() -> list[str]:
        async with _where(find_place(data), workspace, client) as where, where.work() as work:
            return await remove_documents(work, where.client_id, ids)

    for sha256 in run(write()):
        click.echo(f"removed\t{SHA256_PREFIX}{sha256}")


def _mode_name(mode: DocumentMode) -> str:
    return next(name for name, each in MODES.items() if each is mode)
