"""Shows the differences that `check` finds as pytest shows those of a test."""

import pytest

pytest.register_assert_rewrite("tests.executor.behaviours.compare")
