"""`crm-graph doctor`: what is wrong with the configuration, the database, the locale, and how to fix it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

import asyncpg

from crm_graph.api.console.graphiql import asset_directory
from crm_graph.app import check_settings, make_mailer
from crm_graph.cli.installed import installation
from crm_graph.cli.operating.addresses import check_others, check_session
from crm_graph.cli.operating.openable import require_openable
from crm_graph.cli.operating.reach import check_reach
from crm_graph.cli.place import Place
from crm_graph.db.connecting import close, connect
from crm_graph.db.pool import Database, PoolSettings
from crm_graph.db.quota import shown
from crm_graph.db.revisions import state
from crm_graph.db.session import ReadSession
from crm_graph.events.epoch import has_epochs, require_own
from crm_graph.events.projector import lag
from crm_graph.identity.secrets import load_secrets, secrets_of_environment
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.settings import Settings
from crm_graph.vault.master import SERVICE_VARIABLE, VARIABLE, load_service
from crm_graph.vault.status import wrappings

NEARLY_FULL = 0.9
BEHIND = 10_000
"""So many events the kept history may be behind: some seconds of a large import."""
SUPPORTED_MAJORS = range(15, 19)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool = True
    fix: str = ""
    warning: bool = False


def _problem(error: OperatorError) -> Finding:
    return Finding(error.what, ok=False, fix=error.fix)


async def examine(place: Place) -> list[Finding]:
    """Look at everything that does not need the one before to be right; returns what was found, in order."""
    findings = [_python(), *_configuration(place), *await _reach(place)]
    try:
        with place.database_url() as url:
            findings.append(
                Finding(f"Postgres answers ({'embedded, ' + str(place.data) if place.data else 'DATABASE_URL'})")
            )
            findings += await _database(url)
            if place.data is None:
                told = [await check_session(url), *[finding async for finding in check_others(url, os.environ)]]
                findings += [Finding(what, not fix, fix) for what, fix in told]
    except OperatorError as error:
        findings.append(_problem(error))
    return findings


async def _reach(place: Place) -> list[Finding]:
    """Look at how clients come in, except on one's own machine."""
    if place.data is not None:
        return []
    try:
        told = await check_reach(Settings.from_environment())
    except OperatorError:
        return []  # `_configuration` says what is wrong
    return [Finding(what, not fix, fix, warning=works) for what, fix, works in told]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding(f"Python {version}")
    return Finding(f"Python {version} is not supported", ok=False, fix="use Python 3.11, 3.12 or 3.13")


def _configuration(place: Place) -> list[Finding]:
    findings = []
    try:
        settings = Settings.from_environment()
        check_settings(settings)
        findings.append(Finding("settings can be read"))
        findings += _accounts(settings)
    except OperatorError as error:
        findings.append(_problem(error))
    try:
        has_secret = bool(secrets_of_environment(os.environ))
        if has_secret:
            findings.append(Finding("CRM_SECRET is set"))
        elif place.data is None:
            fix = "for production set CRM_SECRET, for example to `openssl rand -hex 32`"
            findings.append(Finding("CRM_SECRET is not set: the database keeps the secret", False, fix, warning=True))
    except OperatorError as error:
        findings.append(_problem(error))
    findings += _master_key(place)
    if place.data is not None and os.environ.get("DATABASE_URL"):
        text = "DATABASE_URL is set, but the data directory is used"
        findings.append(Finding(text, False, "leave out --data and CRM_DATA_DIR to use DATABASE_URL", warning=True))
    if asset_directory() is None:
        findings.append(Finding("GraphiQL's files are missing", False, "`make install` installs them", warning=True))
    return findings


def _master_key(place: Place) -> list[Finding]:
    """Look at what wraps the keys of workspaces, before any secret of the database is known."""
    if os.environ.get(SERVICE_VARIABLE):
        return [Finding(f"{SERVICE_VARIABLE} wraps the keys of workspaces")]
    if os.environ.get(VARIABLE):
        return [Finding(f"{VARIABLE} is set")]
    if place.data is not None:
        return []
    source = "CRM_SECRET" if os.environ.get("CRM_SECRET") else "the secret that the database keeps"
    fix = f"for production set {VARIABLE}, for example to `openssl rand -hex 32`, then run `crm-graph keys rewrap`"
    text = f"{VARIABLE} is not set: personal data is encrypted under a key derived from {source}"
    return [Finding(text, False, fix, warning=True)]


async def _keys(connection: asyncpg.Connection[asyncpg.Record]) -> list[Finding]:
    """Unwrap a key of each master key that wraps any."""
    session = ReadSession(connection)
    try:
        service = load_service(os.environ, await load_secrets(session, os.environ))
        wrapped = await wrappings(session, service)
    except OperatorError as error:
        return [_problem(error)]
    except asyncpg.UndefinedTableError:
        return []  # `_schema` says that it is older
    older = [wrapping for wrapping in wrapped if wrapping.wrapped_by != service.name]
    if not older:
        return [Finding(f"the keys of workspaces are wrapped by {service.name}")]
    count = sum(wrapping.keys for wrapping in older)
    text = f"{count:,} keys of workspaces are wrapped by {', '.join(wrapping.wrapped_by for wrapping in older)}"
    return [Finding(f"{text}, not by {service.name}", False, "`crm-graph keys rewrap`", warning=True)]


async def _secrets(url: str) -> list[Finding]:
    """Open some of all that the database holds, as a process does that starts."""
    database = await Database.open(url, None, PoolSettings(1, 1))
    try:
        await require_openable(await installation(database), database)
    except OperatorError as error:
        return [_problem(error)]
    except asyncpg.UndefinedTableError:
        return []  # `_schema` says that it is older
    finally:
        await database.close()
    return [Finding("the secrets open what the database holds")]


def _accounts(settings: Settings) -> list[Finding]:
    """Look at what signing in needs: mails for resets, and the list of breached passwords where there is one."""
    findings = []
    try:
        if make_mailer(settings) is None:
            fix = "set CRM_SMTP_URL and CRM_MAIL_FROM"
            findings.append(Finding("no mail can be sent: no password can be reset by mail", False, fix, warning=True))
        else:
            findings.append(Finding("CRM_SMTP_URL and CRM_MAIL_FROM can be read"))
    except OperatorError as error:
        findings.append(_problem(error))
    if settings.breached_passwords and not os.access(settings.breached_passwords, os.R_OK):
        text = f"CRM_BREACHED_PASSWORDS={settings.breached_passwords} cannot be read"
        findings.append(Finding(text, False, "correct or unset it: no password can be set as it is"))
    return findings


async def _database(url: str) -> list[Finding]:
    connection = await connect(url)
    try:
        findings = [
            await _version(connection),
            await _encoding(connection),
            await _collation(connection),
            await _room(connection),
            *await _keys(connection),
            *await _storage(connection),
            *await _cluster(connection),
        ]
    finally:
        await close(connection)
    if all(finding.ok or finding.warning for finding in findings):
        findings += await _secrets(url)
    findings += [await _schema(url), *await _epoch(url), *await _history(url), *await _followers(url)]
    return findings


async def _version(connection: asyncpg.Connection[asyncpg.Record]) -> Finding:
    number = int(await connection.fetchval("SHOW server_version_num"))
    major = number // 10_000
    if major in SUPPORTED_MAJORS:
        return Finding(f"Postgres {major}.{number % 10_000}")
    return Finding(f"Postgres {major} is not supported", ok=False, fix="use Postgres 15, 16, 17 or 18")


async def _encoding(connection: asyncpg.Connection[asyncpg.Record]) -> Finding:
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding == "UTF8":
        return Finding("the database stores UTF-8")
    fix = "make the database anew: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
    return Finding(f"the database stores {encoding}", ok=False, fix=fix)


async def _collation(connection: asyncpg.Connection[asyncpg.Record]) -> Finding:
    """Case folding and word splitting follow LC_CTYPE: under `C` neither works beyond ASCII."""
    row = await connection.fetchrow(
        "SELECT lower('ÄÉ') = 'äé' AS folds,"
        " (SELECT datctype FROM pg_database WHERE datname = current_database()) AS ctype"
    )
    assert row is not None
    if row["folds"]:
        return Finding(f"the locale folds case beyond ASCII (LC_CTYPE {row['ctype']})")
    fix = "make the database anew with LC_CTYPE 'C.UTF-8' (from Postgres 17: LOCALE_PROVIDER builtin LOCALE 'C.UTF-8')"
    return Finding(f"the locale does not fold case beyond ASCII (LC_CTYPE {row['ctype']})", ok=False, fix=fix)


async def _room(connection: asyncpg.Connection[asyncpg.Record]) -> Finding:
    settings = Settings.from_environment()
    needed = settings.read_pool_size + settings.write_pool_size + 2
    allowed = int(await connection.fetchval("SHOW max_connections"))
    used = int(await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"))
    if needed + used <= allowed:
        return Finding(f"room for connections: a process takes {needed}, {used} of {allowed} are in use")
    fix = "lower CRM_READ_POOL_SIZE and CRM_WRITE_POOL_SIZE, or raise max_connections"
    return Finding(f"a process takes {needed} connections; {used} of {allowed} are in use", False, fix)


async def _storage(connection: asyncpg.Connection[asyncpg.Record]) -> list[Finding]:
    """Look for workspaces that are about to reach what they may store."""
    limit = Settings.from_environment().workspace_max_bytes
    try:
        row = await connection.fetchrow(
            "SELECT slug, used_bytes, (SELECT count(*) FROM workspace_usage) AS workspaces FROM workspace_usage"
            " JOIN workspace ON workspace.workspace_id = workspace_usage.workspace_id ORDER BY used_bytes DESC LIMIT 1"
        )
    except asyncpg.UndefinedTableError:
        return []  # `_schema` says that it is older
    if row is None:
        return [Finding("no workspace was measured yet: a process that serves does so every few minutes")]
    most = f"the largest of {row['workspaces']:,} workspaces, {row['slug']}, stores {shown(row['used_bytes'])}"
    if not limit:
        return [Finding(f"{most}; there is no limit (CRM_WORKSPACE_MAX_BYTES)")]
    text = f"{most} of {shown(limit)}"
    if row["used_bytes"] < limit * NEARLY_FULL:
        return [Finding(text)]
    fix = "its members delete what they do not need, or you raise CRM_WORKSPACE_MAX_BYTES"
    return [Finding(text, False, fix, warning=True)]


async def _cluster(connection: asyncpg.Connection[asyncpg.Record]) -> list[Finding]:
    """Look at what a cluster needs beyond a Postgres. Nothing is imported for a plain one."""
    if not await connection.fetchval("SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'citus')"):
        return []
    from crm_graph.cli.operating.distributing import check_cluster

    return [Finding(what, not fix, fix, warning=works) async for what, fix, works in check_cluster(connection)]


async def _schema(url: str) -> Finding:
    revision = await state(url)
    if revision.up_to_date:
        return Finding(f"the schema is at this version's revision, {revision.current}")
    if revision.runs:
        return Finding(f"the schema is at revision {revision.current}, newer than this code, which runs on it")
    if not revision.known:
        fix = "run the version of crm-graph that made it, or a newer one"
        return Finding(f"the schema is at revision {revision.current}, newer than this code", False, fix)
    return Finding(
        f"the schema is at {revision.current or 'nothing'}; the code needs {revision.head}",
        False,
        "`crm-graph migrate`",
    )


async def _epoch(url: str) -> list[Finding]:
    """Look whether the log's positions are of this cluster's transactions."""
    if not await has_epochs(url):
        return []  # `_schema` says that it is older
    connection = await connect(url)
    try:
        epoch = await require_own(connection)
    except OperatorError as error:
        return [_problem(error)]
    finally:
        await close(connection)
    return [Finding(f"the log is this cluster's, in epoch {epoch.number}")]


async def _history(url: str) -> list[Finding]:
    """Look how far the kept history is behind the log."""
    connection = await connect(url)
    try:
        behind = await lag(connection)
    except asyncpg.UndefinedTableError:
        return []  # `_schema` says that it is older
    finally:
        await close(connection)
    if behind.events <= BEHIND:
        return [Finding(f"the kept history is {behind.events:,} events behind the log")]
    fix = "a running server keeps it: start one, or look in its log for `projector`"
    return [Finding(f"the kept history is {behind.events:,} events behind the log", False, fix, warning=True)]


async def _followers(url: str) -> list[Finding]:
    """Look for backups that nobody writes on, for which the server keeps its log all the same."""
    connection = await connect(url)
    try:
        rows = await connection.fetch(
            "SELECT slot_name, pg_current_wal_lsn() - restart_lsn AS kept FROM pg_replication_slots"
            " WHERE NOT active AND slot_name LIKE 'crm\\_backup\\_%' AND NOT pg_is_in_recovery()"
        )
    finally:
        await close(connection)
    fix = "`crm-graph backup FOLDER --follow` goes on; `--unfollow`, or pg_drop_replication_slot, ends it"
    return [
        Finding(f"nobody follows for {row['slot_name']}: {shown(int(row['kept']))} of log are kept", False, fix, True)
        for row in rows
    ]
