"""The workspace, its members, teams and API clients: everybody sees the organisation, administrators change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.permissions.tables.table import (
    NOBODY,
    OWN_WORKSPACE,
    ROW,
    Id,
    Refusal,
    Table,
    Without,
    Write,
    no_such,
    no_verb,
)

_NOT_ADMIN = (NOBODY, "sales_manager", "integration")


_MANY = {"member identity": "member identities", "webhook delivery": "webhook deliveries"}


def _write(
    name: str,
    verb: str,
    of: str,
    input_: Mapping[str, Any],
    events: Sequence[str],
    tables: Sequence[str],
    stranger: Refusal | None,
    **more: Any,
) -> Write:
    without = [Without(role, no_verb(verb, _MANY.get(of, f"{of}s"))) for role in _NOT_ADMIN]
    return Write(name, verb, input_, "admin", without, stranger, events, tables, **more)


WORKSPACE = Table(
    "Workspace",
    reads=("viewer",),
    seen_by="analyst",
    unseen_by=[(NOBODY, "own")],
    writes=[
        _write(
            "updateWorkspace",
            "update",
            "workspace",
            {"id": ROW, "name": "Zebra"},
            ["WorkspaceUpdated"],
            ["workspace", "workspace_directory"],
            no_such("workspace"),
            samples={"timeZone": "Asia/Shanghai", "fiscalYearStart": 4, "baseCurrency": "CNY"},  # as it is
        ),
    ],
)

MEMBERS = Table(
    "Member",
    reads=("member", "members", "membersAggregate"),
    seen_by="sales_rep",
    unseen_by=[(NOBODY, "team")],
    place="team",
    writes=[
        _write(
            "createMember",
            "create",
            "member",
            {"id": ROW, "name": "Zebra", "email": "zebra@new.example", "roles": ["analyst"]},
            ["MemberCreated"],
            ["member", "member_role", "workspace_directory", "member_address"],
            OWN_WORKSPACE,
        ),
        _write(
            "updateMember",
            "update",
            "member",
            {"id": ROW, "name": "Zebra"},
            ["MemberUpdated"],
            ["member", "workspace_directory"],
            no_such("member"),
        ),
        _write(
            "setMemberRoles",
            "setRoles",
            "member",
            {"id": ROW, "roles": ["analyst"]},
            ["MemberRolesChanged"],
            ["member", "member_role", "workspace_directory"],
            no_such("member"),
        ),
        _write(
            "suspendMember",
            "suspend",
            "member",
            {"id": ROW},
            ["MemberSuspended"],
            ["member", "workspace_directory"],
            no_such("member"),
        ),
        _write(
            "reactivateMember",
            "reactivate",
            "member",
            {"id": ROW},
            ["MemberReactivated"],
            ["member", "workspace_directory"],
            no_such("member"),
            given={"status": "SUSPENDED"},
        ),
    ],
)

TEAMS = Table(
    "Team",
    reads=("team", "teams", "teamsAggregate"),
    seen_by="sales_rep",
    unseen_by=[(NOBODY, "own")],
    writes=[
        _write(
            "createTeam",
            "create",
            "team",
            {"name": "Zebra", "parentId": Id("Team")},
            ["TeamCreated"],
            ["team", "workspace_directory"],
            no_such("team", "parentId"),
        ),
        _write(
            "updateTeam",
            "update",
            "team",
            {"id": ROW, "name": "Zebra"},
            ["TeamUpdated"],
            ["team", "workspace_directory"],
            no_such("team"),
        ),
        _write(
            "deleteTeam",
            "delete",
            "team",
            {"id": ROW},
            ["TeamDeleted"],
            ["team", "workspace_directory"],
            no_such("team"),
            fresh=True,
            given={"parent_id": None},
        ),
    ],
)


def _role(name: str, verb: str, input_: Mapping[str, Any], event: str, stranger: Refusal | None, **more: Any) -> Write:
    return _write(name, verb, "role", input_, [event], ["role", "workspace_directory"], stranger, **more)


_GRANTS = [{"type": "Product", "verbs": [{"verb": "read", "scope": "ALL"}]}]
ROLES = Table(
    "Role",
    reads=("roles", "role", "grantables", "explainAccess"),
    seen_by="admin",
    unseen_by=[],
    record=False,
    writes=[
        _role("createRole", "create", {"name": "zebra", "grants": _GRANTS}, "RoleCreated", OWN_WORKSPACE),
        _role("updateRole", "update", {"name": "analyst", "grants": _GRANTS}, "RoleCreated", OWN_WORKSPACE),
        _role(
            "deleteRole",
            "delete",
            {"name": "ours"},
            "RoleDeleted",
            Refusal("NOT_FOUND", "The role 'ours' is not there: there is nothing to delete.", ("name",)),
            before="INSERT INTO role (workspace_id, id, name, grants, version, created_at, updated_at)"
            " VALUES ($1, $2, 'ours', '{}', 1, now(), now())",
        ),
    ],
)

ACCOUNTS = Table(
    "Account",
    reads=(),
    seen_by="admin",
    unseen_by=[],
    record=False,
    place="team",
    writes=[
        _write(
            "inviteMember",
            "create",
            "member",
            {"name": "Zebra", "email": "zebra@new.example", "roles": ["analyst"]},
            ["MemberCreated", "MemberInvited"],
            ["member", "member_role", "workspace_directory", "member_link", "member_address"],
            OWN_WORKSPACE,
        ),
        _write(
            "resendInvitation",
            "create",
            "member",
            {"id": Id("Member", "team")},
            ["MemberInvited"],
            ["member_link"],
            no_such("member"),
        ),
        _write(
            "removeSecondFactorOfMember",
            "update",
            "member",
            {"memberId": Id("Member", "team")},
            ["SecondFactorDisabled"],
            ["credential"],
            no_such("member", "memberId"),
            before="INSERT INTO credential (workspace_id, member_id, totp_secret) VALUES ($1, $2, 'e1.1.zebra')",
        ),
        _write(
            "revokeSessionsOfMember",
            "update",
            "member",
            {"memberId": Id("Member", "team")},
            ["SessionsRevoked"],
            ["member_session"],
            no_such("member", "memberId"),
            before="INSERT INTO member_session (workspace_id, id, member_id, method, last_used_at, expires_at, salt,"
            " version, created_at, updated_at) VALUES ($1, gen_random_uuid(), $2, 'PASSWORD', now(),"
            " now() + interval '1 day', 'salt', 1, now(), now())",
        ),
    ],
)
AUDIT = Table(
    "AuditEntry",
    reads=("auditEntry", "auditEntries", "auditEntriesAggregate"),
    seen_by="admin",
    unseen_by=[(NOBODY, "own"), ("sales_manager", "own"), ("integration", "own")],
)

CLIENTS = Table(
    "ApiClient",
    reads=("apiClient", "apiClients", "apiClientsAggregate"),
    seen_by="admin",
    unseen_by=[(NOBODY, "own"), ("sales_manager", "own"), ("integration", "own")],
    writes=[
        _write(
            "createApiClient",
            "create",
            "API client",
            {"name": "Zebra"},
            ["ApiClientCreated"],
            ["api_client", "workspace_directory"],
            OWN_WORKSPACE,
            samples={"redirectUris": ["https://zebra.example/x"], "memberRoles": ["analyst"]},
        ),
        _write(
            "updateApiClient",
            "update",
            "API client",
            {"id": ROW, "name": "Zebra"},
            ["ApiClientUpdated"],
            ["api_client", "workspace_directory"],
            no_such("API client"),
            samples={"redirectUris": ["https://zebra.example/x"], "memberRoles": ["analyst"]},
        ),
        _write(
            "deleteApiClient",
            "delete",
            "API client",
            {"id": ROW},
            ["ApiClientDeleted"],
            ["api_client", "workspace_directory"],
            no_such("API client"),
            fresh=True,
        ),
    ],
)


def _key(name: str, input_: Mapping[str, Any], events: list[str], field: str, of: str, **more: Any) -> Write:
    stranger = no_such(of, field)
    return _write(
        name, "update", "API key", input_, events, ["api_client", "api_key", "workspace_directory"], stranger, **more
    )


KEYS = Table(
    "ApiKey",
    reads=("apiKey", "apiKeys", "apiKeysAggregate"),
    seen_by="admin",
    unseen_by=[(NOBODY, "own"), ("sales_manager", "own"), ("integration", "own")],
    writes=[
        _write(
            "createApiKey",
            "update",
            "API client",
            {"clientId": Id("ApiClient"), "name": "Zebra"},
            ["ApiKeyCreated", "ApiClientUpdated"],
            ["api_client", "api_key", "workspace_directory"],
            no_such("API client", "clientId"),
        ),
        _key(
            "rotateApiKey",
            {"id": ROW},
            ["ApiKeyCreated", "ApiKeyRotated", "ApiClientUpdated"],
            "id",
            "API key",
            given={"revoked_at": None, "expires_at": None},
        ),
        _key(
            "revokeApiKey",
            {"id": ROW},
            ["ApiKeyRevoked", "ApiClientUpdated"],
            "id",
            "API key",
            given={"revoked_at": None, "expires_at": None},
        ),
    ],
)
DOCUMENTS = Table(
    "TrustedDocument",
    reads=(),
    seen_by="admin",
    unseen_by=[],
    record=False,
    writes=[
        _write(
            "pushTrustedDocuments",
            "update",
            "API client",
            {"clientId": Id("ApiClient"), "documents": [{"source": "{ __typename }"}]},
            ["TrustedDocumentAdded"],
            ["trusted_document"],
            no_such("API client", "clientId"),
        ),
        _write(
            "removeTrustedDocuments",
            "update",
            "API client",
            {"clientId": Id("ApiClient"), "ids": [f"sha256:{'0' * 64}"]},
            ["TrustedDocumentRemoved"],
            ["trusted_document"],
            no_such("API client", "clientId"),
            before="INSERT INTO trusted_document (workspace_id, id, client_id, sha256, source, operations,"
            " schema_sha256, version, created_at, updated_at)"
            " SELECT workspace_id, coalesce($2, id), id, repeat('0', 64), '{ a }', '{}',"
            " '', 1, now(), now() FROM api_client WHERE workspace_id = $1 AND name LIKE 'own canary%'",
        ),
    ],
)
_SAMPLES = {
    **{"required": [], "rules": [], "audiences": ["lion"], "scopes": ["openid"], "emailDomains": ["zebra.example"]},
    **{"defaultRoles": ["analyst"], "issuer": "https://zebra.example", "clientId": "zebra"},
}
_PROVIDER = {"name": "Zebra", "issuer": "https://zebra.example", "clientId": "zebra"}
PROVIDERS = Table(
    "IdentityProvider",
    reads=("identityProvider", "identityProviders", "identityProvidersAggregate"),
    seen_by="admin",
    unseen_by=[(NOBODY, "own"), ("sales_manager", "own"), ("integration", "own")],
    writes=[
        _write(
            "createIdentityProvider",
            "create",
            "identity provider",
            _PROVIDER,
            ["IdentityProviderCreated"],
            ["identity_provider", "workspace_directory"],
            OWN_WORKSPACE,
            samples=_SAMPLES,
        ),
        _write(
            "updateIdentityProvider",
            "update",
            "identity provider",
            {"id": ROW, "enabled": False},
            ["IdentityProviderUpdated"],
            ["identity_provider", "workspace_directory"],
            no_such("identity provider"),
            samples=_SAMPLES,
        ),
        _write(
            "deleteIdentityProvider",
            "delete",
            "identity provider",
            {"id": ROW},
            ["IdentityProviderDeleted"],
            ["identity_provider", "workspace_directory"],
            no_such("identity provider"),
            fresh=True,
        ),
    ],
)
IDENTITIES = Table(
    "MemberIdentity",
    reads=("memberIdentity", "memberIdentities", "memberIdentitiesAggregate"),
    seen_by="admin",
    unseen_by=[(NOBODY, "own"), ("sales_manager", "own"), ("integration", "own")],
    writes=[
        _write(
            "linkMemberIdentity",
            "create",
            "member identity",
            {"providerId": Id("IdentityProvider", "team"), "subject": "Zebra", "memberId": Id("Member", "own")},
            ["IdentityLinked"],
            ["member_identity", "workspace_directory"],
            no_such("identity provider", "providerId"),
        ),
        _write(
            "unlinkMemberIdentity",
            "delete",
            "member identity",
            {"id": ROW},
            ["IdentityUnlinked"],
            ["member_identity", "workspace_directory"],
            no_such("member identity"),
        ),
    ],
)

_HOOK_SAMPLES = {"selection": "{ __typename }", "filter": {"Customer": {}}, "withoutClient": Id("ApiClient")}
_HOOK = {"url": "https://zebra.example/hook", "eventTypes": ["CustomerCreated"], "roles": ["analyst"]}


def _hook(name: str, input_: Mapping[str, Any], event: str, *tables: str, verb: str = "update", **more: Any) -> Write:
    stranger = more.pop("stranger", no_such("webhook endpoint"))
    return _write(name, verb, "webhook endpoint", input_, [event], tables or ["webhook_endpoint"], stranger, **more)


WEBHOOKS = Table(
    "WebhookEndpoint",
    reads=("webhookEndpoint", "webhookEndpoints", "webhookEndpointsAggregate"),
    seen_by="admin",
    unseen_by=[(NOBODY, "own"), ("sales_manager", "own"), ("integration", "own")],
    writes=[
        _hook(
            "createWebhookEndpoint",
            _HOOK,
            "WebhookEndpointCreated",
            "webhook_endpoint",
            "webhook_secret",
            verb="create",
            stranger=OWN_WORKSPACE,
            samples=_HOOK_SAMPLES,
        ),
        _hook(
            "updateWebhookEndpoint",
            {"id": ROW, **_HOOK},
            "WebhookEndpointUpdated",
            samples=_HOOK_SAMPLES,
        ),
        _hook("deleteWebhookEndpoint", {"id": ROW}, "WebhookEndpointDeleted", verb="delete", fresh=True),
        _hook(
            "rotateWebhookEndpointSecret",
            {"id": ROW},
            "WebhookSecretRotated",
            "webhook_endpoint",
            "webhook_secret",
            before="INSERT INTO webhook_secret (workspace_id, id, version, created_at, updated_at, sealed)"
            " VALUES ($1, $2, 1, now(), now(), 'zebra')",
        ),
        _hook("pingWebhookEndpoint", {"id": ROW}, "WebhookEndpointPinged", "webhook_delivery"),
        _hook("replayWebhookEndpoint", {"id": ROW, "after": "1-1"}, "WebhookEndpointReplayed"),
    ],
)
DELIVERIES = Table(
    "WebhookDelivery",
    reads=("webhookDelivery", "webhookDeliveries", "webhookDeliveriesAggregate"),
    seen_by="admin",
    unseen_by=[(NOBODY, "own"), ("sales_manager", "own"), ("integration", "own")],
    writes=[
        _write(
            "redeliverWebhookDelivery",
            "update",
            "webhook delivery",
            {"id": ROW},
            ["WebhookRedeliveryRequested"],
            ["webhook_delivery"],
            no_such("webhook delivery"),
        ),
    ],
)

_UNDER_WAY = {"status": "QUEUED", "queue_id": None, "ended_at": None}
_GIVEN_UP = {**_UNDER_WAY, "status": "FAILED"}


def _job(name: str, event: str, given: Mapping[str, Any]) -> Write:
    without = [
        Without(NOBODY, no_verb("update", "jobs")),
        Without("analyst", no_such("job"), place="team"),
    ]
    return Write(name, "update", {"id": ROW}, "analyst", without, no_such("job"), [event], ["job"], given=given)


JOBS = Table(
    "Job",
    reads=("job", "jobs", "jobsAggregate"),
    watches=("jobChanged", "jobProgress"),
    seen_by="analyst",
    unseen_by=[(NOBODY, "own"), ("analyst", "team")],
    writes=[
        Write(
            "exportRecords",
            "create",
            {"type": "Customer"},
            "analyst",
            [Without(NOBODY, no_verb("create", "jobs")), Without("sales_rep", no_verb("export", "Customer records"))],
            OWN_WORKSPACE,
            ["JobCreated"],
            ["job"],
            needs=[("Customer", "export")],
        ),
        _job("cancelJob", "JobCancelled", _UNDER_WAY),
        _job("requeueJob", "JobRequeued", _GIVEN_UP),
    ],
)
TABLES = (
    JOBS,
    WEBHOOKS,
    DELIVERIES,
    KEYS,
    DOCUMENTS,
    PROVIDERS,
    IDENTITIES,
    WORKSPACE,
    MEMBERS,
    TEAMS,
    ROLES,
    ACCOUNTS,
    AUDIT,
    CLIENTS,
)
