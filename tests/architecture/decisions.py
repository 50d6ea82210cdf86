"""What ARCHITECTURE.md says of its decisions, read as data; what is wrong with them, as sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

TAG = re.compile(r"\bD-([a-z_]+)-(\d\d)\b")
HEADING = re.compile(r"^#### (D-([a-z_]+)-\d\d)(?: \S.*)$", re.MULTILINE)
SECTION = re.compile(r"^### (\S+)$", re.MULTILINE)
PATH = re.compile(r"`([\w./-]+(?:\.(?:py|md|txt|json|lock|graphql)|/))`")


def tags(architecture: str) -> list[str]:
    """Return the tags of all decisions, in the order of the file."""
    return [tag for tag, _ in HEADING.findall(architecture)]


def faults(architecture: str, folders: Iterable[str]) -> list[str]:
    """Return what is wrong with the decisions; `folders` are the names of the folders and modules that there are."""
    wrong = [f"{tag} stands {times} times" for tag, times in Counter(tags(architecture)).items() if times > 1]
    wrong += [
        f"no heading of a decision: {line}"
        for line in re.findall(r"^####.*$", architecture, re.MULTILINE)
        if not HEADING.match(line)
    ]
    parts = SECTION.split(architecture)
    for folder, text in zip(parts[1::2], parts[2::2], strict=True):
        if folder not in folders:
            wrong.append(f"there is no folder {folder}")
        own = tags(text)
        wrong += [f"{tag} stands in the section of {folder}" for tag in own if not tag.startswith(f"D-{folder}-")]
        if own != sorted(own):
            wrong.append(f"the decisions of {folder} are not in their order")
    return wrong


def lost(architecture: str, texts: Mapping[str, str]) -> list[str]:
    """Return the references to decisions that are not there; `texts` are by the names of their files."""
    known = set(tags(architecture))
    return [
        f"{name}: {match.group()}"
        for name, text in texts.items()
        for match in TAG.finditer(text)
        if match.group() not in known
    ]


def paths(architecture: str) -> set[str]:
    """Return the files and folders that are named, as they are written: ends of paths of the repository."""
    return set(PATH.findall(architecture))
