"""`crm-graph client`: the programs that use the API, and their keys."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from crm_graph.cli.console import console
from crm_graph.cli.place import data_option, find_place, run, workspace_option
from crm_graph.domains.identity.clients.enums import ClientKind, DocumentMode, OnError
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.ids import decode_id, encode_id

MODES = {mode.value.lower().replace("_", "-"): mode for mode in DocumentMode}
ON_ERROR = {choice.value.lower(): choice for choice in OnError}
FIRST_KEY = "command line"
KEY_PREFIX = "apk"


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
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="An address to which members are sent back.")
@click.option("--on-error", type=click.Choice(list(ON_ERROR)), help="See `crm-graph client on-error`.")
@click.option("--key", "with_key", is_flag=True, help="Make a key too, and print it.")
@workspace_option
@data_option
def create(
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

    from crm_graph.cli.access.clients import make_client

    text = run(make_client(find_place(data), workspace, values, roles, FIRST_KEY if with_key else None))
    console.print(f"created the client {escape(name)}: {mode}", soft_wrap=True)
    if text is not None:
        click.echo(text)


@client.command("key")
@click.argument("name")
@click.option("--name", "key_name", default=FIRST_KEY, show_default=True, help="What to call the key.")
@click.option("--days", type=click.IntRange(1, 3650), help="How long it is good; always unless given.")
@workspace_option
@data_option
def key(name: str, key_name: str, days: int | None, workspace: str | None, data: Path | None) -> None:
    """Make another key of the client NAME and print it to stdout: it is not shown again."""
    from crm_graph.cli.access.clients import make_key

    click.echo(run(make_key(find_place(data), workspace, name, key_name, days)))


@client.command("keys")
@click.argument("name")
@workspace_option
@data_option
def keys(name: str, workspace: str | None, data: Path | None) -> None:
    """List the keys of the client NAME, a line each: id, name, prefix, made, last used, end; separated by tabs."""
    from crm_graph.cli.access.clients import keys_of

    for listed in run(keys_of(find_place(data), workspace, name)):
        end = f"revoked {listed.revoked_at}" if listed.revoked_at else listed.expires_at or "-"
        id_ = encode_id(KEY_PREFIX, listed.id)
        click.echo("\t".join((id_, listed.name, listed.prefix, listed.created_at, listed.last_used_at or "-", end)))


@client.command("revoke")
@click.argument("key_id", metavar="KEY")
@workspace_option
@data_option
def revoke(key_id: str, workspace: str | None, data: Path | None) -> None:
    """Revoke the KEY of an id that `crm-graph client keys` lists: it stops working with the next request."""
    inner = decode_id(KEY_PREFIX, key_id)
    if inner is None:
        raise OperatorError(f"{key_id!r} is no id of a key", "take one that `crm-graph client keys NAME` lists")

    from crm_graph.cli.access.clients import revoke_key

    run(revoke_key(find_place(data), workspace, inner))
    console.print(f"revoked {key_id}", soft_wrap=True)


@client.command("on-error")
@click.argument("name")
@click.argument("value", metavar="[VALUE]", type=click.Choice(list(ON_ERROR)), required=False)
@workspace_option
@data_option
def on_error(name: str, value: str | None, workspace: str | None, data: Path | None) -> None:
    """Print or set what an error does to the answers of the client NAME, where a request does not say it by `onError`.

    \b
      propagate  null rises to the nearest position that can be null: GraphQL's own, and the default
      null       the failed position is null, also where its type forbids it, and nothing else is
      halt       the first error ends the operation: no data, and that error

    It is in force in every process within CRM_TRUSTED_CACHE_MS.
    """
    from crm_graph.cli.access.clients import on_error_of

    chosen = None if value is None else ON_ERROR[value]
    click.echo(run(on_error_of(find_place(data), workspace, name, chosen)).value.lower())


@client.command("list")
@workspace_option
@data_option
def list_(workspace: str | None, data: Path | None) -> None:
    """List the clients of a workspace with their modes."""
    from crm_graph.cli.access.clients import clients_of

    for name, mode in run(clients_of(find_place(data), workspace)).items():
        click.echo(f"{name}\t{name_of_mode(mode)}")


def name_of_mode(mode: DocumentMode) -> str:
    """Return how the command line spells a mode."""
    return next(name for name, known in MODES.items() if known is mode)
