"""Which encoding a file has: UTF-8, with or without a byte order mark, else GB18030 if it reads like Chinese."""

from __future__ import annotations

import codecs
from pathlib import Path

from crm_graph.kernel.errors import OperatorError

CHUNK_BYTES = 1 << 20
CHINESE_SHARE = 0.8
"""Of the characters beyond ASCII, how many must be of GB 2312, the everyday part of GB18030. Western bytes decode as
GB18030 by accident, but to rare characters."""


def encoding_of(path: Path, given: str | None) -> str:
    """Return the codec of a file. Raises OperatorError, with the place of the first wrong byte, when it has none."""
    if given is not None:
        try:
            name = codecs.lookup(given).name
        except LookupError:
            raise OperatorError(f"there is no encoding {given!r}", "name one like utf-8, gb18030 or cp1252") from None
        wrong = _first_wrong_byte(path, name)
        if wrong is not None:
            fix = "give the right one, or leave --encoding out to have it found"
            raise OperatorError(f"{path.name} is not {given}: {_place(path, wrong)}", fix)
        return "utf-8-sig" if name == "utf-8" else name
    with path.open("rb") as file:
        start = file.read(2)
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        wrong = _first_wrong_byte(path, "utf-16")
        if wrong is None:
            return "utf-16"
        raise OperatorError(
            f"{path.name} starts as UTF-16 but is not: {_place(path, wrong)}", "save it as UTF-8, or give --encoding"
        )
    wrong = _first_wrong_byte(path, "utf-8")
    if wrong is None:
        return "utf-8-sig"
    if _first_wrong_byte(path, "gb18030") is None and _reads_like_chinese(path):
        return "gb18030"
    raise OperatorError(
        f"{path.name} is neither UTF-8 nor GB18030: {_place(path, wrong)}",
        "say what it is, for example `--encoding cp1252`, or save it as UTF-8",
    )


def _first_wrong_byte(path: Path, encoding: str) -> int | None:
    """Return the offset of the first byte that does not decode."""
    decoder = codecs.getincrementaldecoder(encoding)()
    offset = kept = 0
    with path.open("rb") as file:
        while True:
            chunk = file.read(CHUNK_BYTES)
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return offset - kept + error.start
            if not chunk:
                return None
            kept = len(decoder.getstate()[0])
            offset += len(chunk)


def _place(path: Path, offset: int) -> str:
    lines, seen = 1, 0
    wrong = b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            if seen + len(chunk) > offset:
                lines += chunk.count(b"\n", 0, offset - seen)
                wrong = chunk[offset - seen : offset - seen + 1]
                break
            lines += chunk.count(b"\n")
            seen += len(chunk)
    return f"byte {wrong.hex() or 'missing'} at offset {offset}, line {lines}"


def _reads_like_chinese(path: Path) -> bool:
    with path.open(encoding="gb18030") as file:
        beyond = [letter for letter in file.read(CHUNK_BYTES) if not letter.isascii()]
    common = 0
    for letter in beyond:
        try:
            letter.encode("gb2312")
            common += 1
        except UnicodeEncodeError:
            pass
    return common >= CHINESE_SHARE * len(beyond)
