"""The fixtures of accounts, here too."""

from tests.domains.workspace.conftest import accounts

__all__ = ["accounts"]
