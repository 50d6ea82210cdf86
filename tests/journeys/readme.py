"""The snippets of the README, as programs: what stands there is run, letter for letter, but for the address."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.server import COMMAND, RunningServer, environment

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "tests" / "clients" / "node_modules"
DOCUMENTED = "http://127.0.0.1:8000"
SNIPPET_TIMEOUT_S = 60


def snippets() -> dict[str, str]:
    """Return the README's named blocks of code, by the name behind the language."""
    block = re.compile(r"^```(?:js|python|json|sh) (\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return dict(block.findall((ROOT / "README.md").read_text()))


def written(name: str, file: Path, server: RunningServer) -> Path:
    """Write a snippet for a running server to a file, beside the packages that it imports."""
    code = snippets()[name]
    modules = file.parent / "node_modules"
    if file.suffix == ".mjs" and not modules.exists():
        modules.symlink_to(MODULES)
    file.write_text(code.replace(DOCUMENTED, server.address.removesuffix("/graphql")))
    return file


def compiled(file: Path) -> Path:
    """Compile a Relay snippet with the README's command, and put the artifact in as Babel does."""
    folder = file.parent
    (folder / "src").mkdir()
    shutil.copy(file, folder / "src" / "deals.js")
    (folder / "relay.config.json").write_text(snippets()["relay.config.json"])
    path = os.pathsep.join([str(Path(COMMAND).parent), os.environ["PATH"]])
    run(["sh", "-c", snippets()["compile"]], folder, PATH=path)
    artifact = '(await import("./src/__generated__/dealsQuery.graphql.js")).default'
    code, times = re.subn(r"graphql`[^`]+`", artifact, file.read_text())
    assert times == 1
    file.write_text(code)
    return file


def run(command: list[str], folder: Path, **variables: str) -> str:
    """Run a program in a folder to its end, and return what it printed; it must not fail."""
    done = subprocess.run(
        command, cwd=folder, env=environment(**variables), capture_output=True, text=True, timeout=SNIPPET_TIMEOUT_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
