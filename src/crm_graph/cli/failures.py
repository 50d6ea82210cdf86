"""How failures look: one line that says what, one that says how to fix it, no traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from crm_graph.kernel.errors import CrmError, OperatorError, Refused

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def code_of(act: Callable[[], Any]) -> int:
    """Do what a command does, and return the code to exit with, after saying what is wrong: the number that it
    returned, if any."""
    try:
        code = act()
    except (click.exceptions.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except OperatorError as error:
        _say("error:", error.what)
        _say("  fix:", error.fix, "green")
        return error.exit_code
    except Refused as error:
        where = f" ({'.'.join(error.field)})" if error.field else ""
        _say("refused:", f"{error.message}{where}")
        return EXIT_FAILED
    except CrmError as error:
        _say("error:", str(error))
        return EXIT_FAILED
    except Exception as error:
        away = _away(error)
        if away is None:
            raise
        _say("error:", f"the database is away: {away}")
        _say("  fix:", "mend that and run the command again; what it had not committed is undone", "green")
        return OperatorError.exit_code
    return code if isinstance(code, int) else 0


def _away(error: BaseException) -> str | None:
    """Return what an error says of the database, where it says that it is away. Files of the command's own raise
    OSErrors too: those are nothing of a database."""
    from crm_graph.db.outages import is_away, said

    cause: BaseException | None = error
    while cause is not None:  # what SQLAlchemy raises is caused by it
        if is_away(cause) and not isinstance(cause, OSError):
            return said(cause)
        cause = cause.__cause__ or cause.__context__
    return None


def _say(what: str, text: str, colour: str = "red") -> None:
    click.echo(f"{click.style(what, fg=colour)} {text}", err=True)
