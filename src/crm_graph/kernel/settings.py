"""All settings, from environment variables with safe defaults. `crm-graph doctor` prints and checks them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from crm_graph.kernel.accepted import read, require


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is the variable `CRM_` + its name in capitals; units are in the names."""

    executor: str = "planned"
    issuer: str = ""
    """The `iss` of tokens; without it, `public_url`, else `crm-graph`."""
    audience: str = "crm-graph"
    token_minutes: int = 60
    """How long tokens of `crm-graph token` are good."""
    public_url: str = ""
    """Where clients reach the installation, `https://crm.example.com`; without it, where they say they reach it, which
    is right on one's own machine and trusts the Host header elsewhere."""
    access_token_seconds: int = 600
    refresh_leeway_seconds: int = 30
    """How long after a refresh the token that was used answers the same pair again: for two tabs that refresh at once,
    and for answers that get lost. 0: never."""
    session_days: int = 30
    """How long a session goes on without being used."""
    max_sessions: int = 100
    """Live sessions of a member; one more ends the one that was not used for the longest time."""
    authorization_code_seconds: int = 60
    """How long a client may take to redeem an authorization code."""
    device_code_seconds: int = 600
    """How long a device waits for its member."""
    browser_sign_in_minutes: int = 480
    """How long the pages of the authorization server know who has signed in."""
    id_token_algorithm: str = "RS256"  # noqa: S105 - no password
    """What signs ID tokens: `RS256`, which every OpenID client knows, or `EdDSA`."""
    oauth_max_bytes: int = 16 * 1024
    """Of a request to the authorization server: its query, and its body."""
    oauth_requests_per_minute: int = 600
    """Requests to each of the authorization server's endpoints from one address, and of one client, to a process."""
    command_line_client: str = "on"
    """Whether `crm-graph login` may sign in here: `on`, or `off`."""
    password_min_length: int = 12
    password_max_length: int = 200
    """Before it is hashed, so that nobody has us hash megabytes."""
    argon2_memory_kib: int = 19_456
    argon2_iterations: int = 2
    argon2_lanes: int = 1
    """OWASP's parameters of Argon2id: 19 MiB, 2 iterations, 1 lane. Stored hashes follow when their member signs in."""
    argon2_threads: int = 2
    """Passwords that a process hashes at a time."""
    argon2_queue_size: int = 100
    """Passwords that wait for one of the threads; who comes then is told to come back."""
    sign_in_candidates: int = 3
    """Accounts of an address whose passwords are tried where no workspace is named: always so many verifications, and
    no more than there are workspaces."""
    breached_passwords: str = ""
    """A file of SHA-1 hashes of passwords that are known, sorted, as Have I Been Pwned ships it: none is accepted."""
    attempt_window_seconds: int = 300
    """In which attempts to sign in, codes and links are counted."""
    attempts_per_account: int = 10
    attempts_per_address: int = 100
    """Of one address, or one IPv6 /64; what succeeded is not counted."""
    second_factor_attempts_per_day: int = 50
    mails_per_hour: int = 5
    """Reset and invitation mails to one account."""
    reset_minutes: int = 60
    """How long a link to reset a password is good."""
    invitation_days: int = 7
    invitation_url: str = ""
    """The page of a frontend that accepts invitations; `#token` is put behind it. Else our own, at CRM_PUBLIC_URL."""
    reset_url: str = ""
    """The page of a frontend that sets a new password; see `invitation_url`."""
    smtp_url: str = ""
    """`smtp://user:password@mail.example.com:587` (with STARTTLS where it is offered; `?starttls=required` insists,
    `never` does without) or `smtps://`. Without it no mail is sent: inviters get the link, passwords cannot be reset
    by mail."""
    mail_from: str = ""
    """The sender of mails, `Our CRM <crm@example.com>`."""
    mail_poll_ms: int = 1_000
    mail_give_up_hours: int = 24
    key_days: int = 30
    """How long a signing key signs; it is accepted for as long before and after."""
    trusted_proxies: str = ""
    """Networks of the proxies in front, `10.0.0.0/8,::1`: only they may say by `X-Forwarded-For` who the client is."""
    provider_private: str = ""
    """Networks that identity providers may be in although they are not public, `10.1.0.0/16,127.0.0.0/8`. Without it,
    nobody who administers a workspace can make this process reach into the network that it runs in."""
    provider_timeout_ms: int = 5_000
    provider_max_bytes: int = 256 * 1024
    provider_keys_seconds: int = 600
    """How long the metadata and the keys of a provider are used before they are fetched again."""
    provider_keys_max_seconds: int = 6 * 3_600
    """How long they are used while the provider does not answer."""
    provider_cooldown_seconds: int = 30
    """How long no second fetch is tried, whatever keys tokens name."""
    provider_cache_ms: int = 5_000
    """After this time at most, a provider's new configuration is in force in every process."""
    max_provider_token_bytes: int = 16 * 1024
    max_providers: int = 20
    """Identity providers of a workspace."""
    webhook_private: str = ""
    """Networks that webhook endpoints may be in although they are not public; see `provider_private`."""
    webhook_timeout_ms: int = 15_000
    """How long an endpoint may take to answer."""
    webhook_max_bytes: int = 128 * 1024
    """Of what an endpoint's selection finds: of a longer answer, the error is sent."""
    webhook_response_bytes: int = 16 * 1024
    """Of an endpoint's answer, so much is read and kept."""
    webhook_retry_ms: int = 5_000
    """After how long a request that failed is sent again; twice as long each time, a part of it by chance."""
    webhook_retry_max_ms: int = 3 * 3_600_000
    webhook_retry_hours: int = 72
    """How long a request is sent again and again; an endpoint that failed all the while is disabled then."""
    webhook_poll_ms: int = 200
    webhook_batch_size: int = 500
    """Events that are read for an endpoint in one transaction."""
    webhook_concurrency: int = 50
    """Requests to webhook endpoints that a process sends at once."""
    webhook_endpoint_concurrency: int = 5
    """Requests that are sent to one endpoint at once, by all processes."""
    webhook_workspace_concurrency: int = 10
    """Of the requests that a process sends at once, so many of one workspace."""
    webhook_selections: int = 4
    """Selections of webhooks that a process executes at once, half of them of one workspace."""
    max_webhook_cost: int = 20_000
    """What the selections of all endpoints of a workspace may cost together."""
    webhook_keep_days: int = 30
    """How long deliveries are kept that are done with."""
    max_webhook_endpoints: int = 50
    """Webhook endpoints of a workspace."""
    max_body_bytes: int = 256 * 1024
    max_source_bytes: int = 64 * 1024
    max_tokens: int = 2_000
    max_depth: int = 12
    max_aliases: int = 30
    max_root_fields: int = 20
    max_fields: int = 5_000
    max_statements: int = 100
    max_introspected: int = 0
    """Objects that one introspection may yield; 0 for twice as many as the query that all tools send yields here."""
    max_values: int = 10_000
    max_cost: int = 10_000
    max_answer_bytes: int = 16 * 1024 * 1024
    """Of one answer, and of each of a stream. It bounds the memory of a process; what texts may make of an answer is
    also counted in its cost."""
    max_pattern_letters: int = 200
    """Of a text that `contains` and `startsWith` look for."""
    max_filter_letters: int = 20_000
    """Of all texts that one filter compares with."""
    max_counted: int = 10_000
    """How far `totalCount` of a list counts; `totalCountIsExact` says whether there are more."""
    max_groups: int = 1_000
    """Groups of one aggregate."""
    measure_least_rows: int = 5
    """Values that must be in a sum together for members to be told it who may measure the field and not read it."""
    max_errors: int = 20
    max_json_depth: int = 32
    workspace_max_bytes: int = 20 * 1024 * 1024 * 1024
    """What a workspace may store, with its event log, its audit trail and the files of its exports; 0 is as much as
    there is room for. The operator's commands are not held to it."""
    workspace_write_bytes_per_minute: int = 256 * 1024 * 1024
    """What a workspace may write through one process, about: so it does not fill up between two measurements."""
    storage_measure_seconds: int = 300
    """How often one of all processes measures what workspaces store."""
    storage_poll_ms: int = 5_000
    """How often a process reads which workspaces are near their limit."""
    idempotency_hours: int = 24
    """How long the answer to a mutation is kept under its idempotency key."""
    idempotency_max_bytes: int = 1024 * 1024
    """Of an answer that is kept; of a longer one only that it was given. What is kept counts as the workspace's."""
    query_timeout_ms: int = 15_000
    mutation_timeout_ms: int = 30_000
    document_cache_bytes: int = 64 * 1024 * 1024
    document_mode: str = "open"
    """What tokens without a client may run: `open`, `warn` or `trusted-only`."""
    trusted_cache_bytes: int = 8 * 1024 * 1024
    trusted_cache_ms: int = 5_000
    """After this time at most, a removed document, and a client's new mode, are in force in every process."""
    plan_cache_bytes: int = 64 * 1024 * 1024
    vault_cache_ms: int = 30_000
    """After this time at most, new keys of a workspace are taken up, and deleted ones forgotten, in every process."""
    vault_workspaces: int = 10_000
    read_pool_size: int = 10
    write_pool_size: int = 10
    member_read_connections: int = 0
    """Of the reading connections, so many may be lent to one member at once; 0 is half of them."""
    member_write_connections: int = 0
    """Of the writing connections, so many; 0 is half of them."""
    member_waiting: int = 200
    """Operations of one member that may wait for a connection; one more is refused."""
    replica_max_lag_ms: int = 2_000
    """How far behind the replica of DATABASE_READ_URL may be that answers queries; beyond, the primary answers."""
    replica_poll_ms: int = 250
    """How often a process looks how far the replica is. Who has just written reads on the primary until then."""
    page_size: int = 50
    nested_page_size: int = 10
    max_page_size: int = 200
    max_feed_page_size: int = 1_000
    """Changes that one page of `changes` answers at most."""
    max_subscriptions: int = 100
    """Operations that run on one WebSocket at once."""
    max_sockets_per_member: int = 50
    max_sockets_per_address: int = 1_000
    max_streams_per_member: int = 100
    """Subscriptions as server-sent events at once."""
    max_messages_per_second: int = 100
    """Messages that a WebSocket may bring; five seconds' worth at once."""
    rate_member_requests: int = 3_000
    """Requests of a member in a minute, per process."""
    rate_member_cost: int = 600_000
    rate_member_document_ms: int = 6_000
    """What reading documents of a member that are not in the cache may take in a minute, those that are refused
    included."""
    rate_client_requests: int = 30_000
    """Of an API client that has no limits of its own, all whom it acts for together."""
    rate_client_cost: int = 6_000_000
    rate_client_document_ms: int = 30_000
    rate_address_requests: int = 600
    """Requests without a good credential from an address, of IPv6 a /64."""
    rate_address_cost: int = 60_000
    rate_address_document_ms: int = 600
    rate_address_failures: int = 600
    """Wrong credentials from an address: after these it must wait before another one is looked at."""
    rate_member_busy_seconds: int = 120
    """For how long a member may hold connections to the database in a minute, all of them added, per process: two all
    the time."""
    rate_client_busy_seconds: int = 300
    rate_workspace_busy_seconds: int = 600
    rate_address_busy_seconds: int = 60
    rate_webhooks_busy_seconds: int = 60
    """Of the webhooks of a workspace; those that would take longer wait."""
    rate_entries: int = 50_000
    """Of how many members, clients and addresses a process remembers how much they asked for, about 500 bytes each."""
    subscription_queue_size: int = 1_000
    live_max_dependents: int = 200
    """Records that a change of another one may bring to a subscription or take from it, each in a message of its own;
    beyond, it is told to read its list anew, which is one query."""
    live_max_undone: int = 500
    """Events that one may lie back while it is asked which records it brought or took: those since are undone each
    time. Beyond, as above."""
    max_live_forms_per_member: int = 50
    """Different forms of filters that a member subscribes with at once; an event costs each a statement."""
    max_live_forms_per_workspace: int = 500
    max_live_cost_per_member: int = 100_000
    """What the selections of all subscriptions of a member may cost together."""
    live_concurrency: int = 8
    """Forms of filters that a process judges at once, an eighth of them of one member."""
    max_connections: int = 20_000
    """Open connections of a process; fewer where it may open fewer files."""
    max_connections_per_address: int = 200
    """Of one address, or one IPv6 /64; `trusted_proxies` are not held to it."""
    max_head_bytes: int = 32 * 1024
    """Of a request, all but its body: line, headers, trailers. What its chunks are wrapped in may be as much again as
    the body that they hold."""
    max_headers: int = 100
    """Headers of a request, trailers not counted."""
    idle_timeout_ms: int = 10_000
    """How long a connection may stay silent, before its first request and between two."""
    head_timeout_ms: int = 10_000
    """How long the head of a request may take, from its first byte, or the handshake of a WebSocket."""
    body_timeout_ms: int = 30_000
    """How long the body of a request may take, or one message of a WebSocket."""
    database_keepalive_seconds: int = 5
    """After so long a silence of a connection for LISTEN or a lock, the kernels of both ends ask each second whether
    the other is still there, and end it after as long again without an answer: then another process is elected."""
    tcp_keepalive_seconds: int = 60
    """After so long a silence the kernel asks whether the peer is still there, and ends the connection after as long
    again without an answer."""
    connection_init_ms: int = 5_000
    heartbeat_ms: int = 15_000
    send_timeout_ms: int = 30_000
    """A client that takes nothing of what it is sent for so long is cut off."""
    drain_ms: int = 10_000
    relay_poll_ms: int = 25
    continue_after_failover: bool = True
    """Whether the log goes on by itself, under a new epoch, where a standby was promoted; otherwise `crm-graph restore
    --in-place` is asked for, as after a recovery to a point in time."""
    event_retention_days: int = 30
    """How long the event log is kept, by which subscriptions and `changes` resume; 0 is for ever. The audit trail is
    kept for ever anyway."""
    event_removal_minutes: int = 60
    """How often events that are too old are removed."""
    event_removal_batch_size: int = 5_000
    """Events that are removed in one transaction."""
    audit_poll_ms: int = 200
    """How long an event waits for its audit entry, at most, while there is little to do."""
    audit_batch_size: int = 1_000
    """Events that get their audit entries in one transaction."""
    history_poll_ms: int = 200
    """How long a change waits for its version, at most, while there is little to do."""
    history_batch_size: int = 1_000
    """Events whose versions are made in one transaction."""
    history_wait_ms: int = 2_000
    """How long a request for a moment waits for the versions of what happened before it."""
    audit_max_ids: int = 200
    """Records that one event about sensitive reads names; beyond these it counts."""
    jobs: bool = True
    """Whether `serve` runs jobs too; without it, `crm-graph worker` must."""
    job_concurrency: int = 4
    job_poll_ms: int = 500
    job_lease_seconds: int = 30
    """How long a job is left to a process that has not been heard of, which says three times as often that it lives."""
    job_max_attempts: int = 5
    job_backoff_ms: int = 2_000
    """How long a job waits after its first attempt failed, at most, and half as long at least; then twice as long."""
    job_backoff_max_ms: int = 3_600_000
    bin_days: int = 30
    """How long what was deleted can be restored; then it is purged."""
    job_keep_days: int = 7
    """How long a job that has ended is kept, with the file that it made."""
    timer_batch_size: int = 100
    """Timers that a process takes, each in a transaction of its own, before it asks again which workspaces have any."""
    timer_concurrency: int = 2
    """Timers that a process handles at once, each with a connection of the write pool."""
    timer_poll_ms: int = 2_000
    """A process sleeps until the next timer is due, and no longer than this, as another one may have set one."""
    timer_lock_ms: int = 300
    """How long a timer's work waits for a record that somebody else is changing; then it is put off. Below Postgres'
    `deadlock_timeout` (1 s), so that it gives way and not the other."""
    timer_max_attempts: int = 10
    """So often the work of a timer may fail; then it is given up, and stays in the table `timer`."""
    timer_backoff_ms: int = 5_000
    """How long a timer waits after its work failed first, at most, and half as long at least; then twice as long."""
    timer_backoff_max_ms: int = 3_600_000
    max_jobs_per_member: int = 10
    """Jobs of a member that wait or run."""
    export_max_bytes: int = 1024 * 1024 * 1024
    """Of the file of one export job."""
    export_part_bytes: int = 256 * 1024
    """Of the pieces in which it is stored."""
    allowed_origins: str = ""
    """Where browser applications may call from, `https://app.example.com,https://other.example.com`, or `*`."""
    cookies: bool = False
    """Whether signing in also sets cookies for a browser that asks for it by the header `X-CRM-CSRF: 1`."""
    metrics_token: str = ""
    """Who shows it may read `/metrics`; without it there are none, except under `crm-graph dev`."""
    metrics_port: int = 0
    """A port of its own for `/metrics`, in `serve` and `worker`; 0 is none. Process k of `serve --workers N`, from 0,
    has this port + k: the port of the API reaches one of them by chance."""
    metrics_host: str = "127.0.0.1"
    """The address of that port. There it is open to whoever reaches it, unless `metrics_token` is set."""
    unready_ms: int = 0
    """How long `/ready` answers 503 after SIGTERM while requests are still served: as long as the balancer in front
    takes to notice."""
    log_level: str = "info"
    log_format: str = "auto"
    """`json` or `text`; `auto` is text on a terminal and JSON elsewhere."""
    log_requests: str = "failed"
    """Which requests have a line: `failed` are those that failed, were refused or were slow; `all`; `none`."""
    log_slow_ms: int = 1_000
    """From here on a request is slow."""
    traces_url: str = ""
    """Where traces are sent by OTLP over HTTP, `http://collector:4318/v1/traces`; without it there are none. What else
    is to be said of them are OpenTelemetry's own variables, `OTEL_TRACES_SAMPLER` say."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Return the settings. Raises OperatorError naming the variable that cannot be read, or cannot be meant."""
        environment = os.environ if environment is None else environment
        hints = get_type_hints(cls)
        values: dict[str, Any] = {}
        for each in fields(cls):
            text = environment.get(f"CRM_{each.name.upper()}")
            if text:
                values[each.name] = read(each.name, hints[each.name], text, each.default)
        settings = cls(**values)
        require(settings)
        return settings
