"""The world of these tests."""

from tests.permissions.fixtures import shared_world, world

__all__ = ["shared_world", "world"]
