"""What happens to identity providers, and to those who sign in with them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IdentityProviderCreated:
    """Members may sign in with a provider, or its tokens are accepted."""


@dataclass(frozen=True, slots=True)
class IdentityProviderUpdated:
    """A provider's configuration changed."""


@dataclass(frozen=True, slots=True)
class IdentityProviderSecretChanged:
    """The secret by which we are known at a provider was set, or removed. The log does not hold it."""

    removed: bool


@dataclass(frozen=True, slots=True)
class IdentityProviderDeleted:
    """A provider was removed with all links of members to it; sign-ins with it and its tokens stop working."""


@dataclass(frozen=True, slots=True)
class IdentityLinked:
    """A provider's account was linked to a member: who signs in there is this member here."""

    member_id: str
    by: str
    """EMAIL: the provider, which is trusted with its domain, says that the member's address is theirs. SIGN_UP: the
    member was made for it. ADMINISTRATOR: somebody who may said so."""


@dataclass(frozen=True, slots=True)
class IdentityUnlinked:
    """A provider's account is no member's any more."""

    member_id: str


@dataclass(frozen=True, slots=True)
class MemberProvisioned:
    """A member was made for a provider's account, with the roles of its rules."""

    provider_id: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemberSignedInWithProvider:
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
