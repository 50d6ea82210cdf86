"""What happens to identity providers, and to those who sign in with them."""

from __future__ import annotations

from crm_graph.events.effects import Changes, Creates, Mentions, Removes


class IdentityProviderCreated(Creates):
    """Members may sign in with a provider, or its tokens are accepted."""


class IdentityProviderUpdated(Changes):
    """A provider's configuration changed."""


class IdentityProviderSecretChanged(Changes):
    """The secret by which we are known at a provider was set, or removed. The log does not hold it."""

    removed: bool


class IdentityProviderDeleted(Removes):
    """A provider was removed with all links of members to it; sign-ins with it and its tokens stop working."""


class IdentityLinked(Creates):
    """A provider's account was linked to a member: who signs in there is this member here."""

    member_id: str
    by: str
    """EMAIL: the provider, which is trusted with its domain, says that the member's address is theirs. SIGN_UP: the
    member was made for it. ADMINISTRATOR: somebody who may said so."""


class IdentityUnlinked(Removes):
    """A provider's account is no member's any more."""

    member_id: str


class MemberProvisioned(Mentions):
    """A member was made for a provider's account, with the roles of its rules."""

    provider_id: str
    roles: tuple[str, ...]


class MemberSignedInWithProvider(Mentions):
    """A member proved who they are at a provider."""

    provider_id: str
    member_id: str


EVENTS = (
    IdentityProviderCreated,
    IdentityProviderUpdated,
    IdentityProviderSecretChanged,
    IdentityProviderDeleted,
    IdentityLinked,
    IdentityUnlinked,
    MemberProvisioned,
    MemberSignedInWithProvider,
)
