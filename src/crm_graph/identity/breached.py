"""Looks a hash up in the list of breached passwords without reading it: the file has 40 GB and is sorted.

Each line is 40 hex digits of SHA-1, upper case and in order, mostly with `:` and how often it was seen: what
"Pwned Passwords" downloads as ordered by hash.
"""

from __future__ import annotations

from pathlib import Path

DIGITS = 40
_LONGEST_LINE = 64
"""40 digits, a colon, a count, an end of line."""


def contains(path: Path, digest: str) -> bool:
    """Return whether a sorted file has a line for a SHA-1, given as 40 upper-case hex digits. Raises OSError.

    Bisects by bytes: about 36 reads for a billion lines.
    """
    wanted = digest.encode()
    with path.open("rb", buffering=_LONGEST_LINE) as file:
        low, high = 0, file.seek(0, 2)
        while low < high:  # the wanted line, where there is one, starts in [low, high)
            middle = (low + high) // 2
            file.seek(max(middle - 1, 0))
            if middle > 0:
                file.readline(_LONGEST_LINE * 2)  # to the first line that starts at `middle` or behind it
            position = file.tell()
            line = file.readline(_LONGEST_LINE * 2) if position < high else b""
            key = line[:DIGITS].upper()
            if not line or key > wanted:
                high = middle
            elif key == wanted:
                return True
            else:
                low = position + len(line)
    return False
