"""The fixtures of accounts, here too."""

from tests.domains.conftest import accounts

__all__ = ["accounts"]
