"""How texts are ordered: `crm_order_key` in a real Postgres, against what readers of several languages expect."""

from __future__ import annotations

import asyncpg
import pytest
from pypinyin import Style, lazy_pinyin

from crm_graph.db.order_keys import FIRST, KEY_LETTERS, LAST

IN_ORDER = {
    "letters with diacritics are where they belong": [
        "Ab",
        "Ångström",
        "Az",
        "Müll",
        "Mulm",
        "Øre",
        "Os",
        "zoo",
        "Żur",
    ],
    "the letter without one comes first": ["Muller", "Müller", "Mullet"],
    "ligatures and sharp s": ["sr", "ß", "st"],
    "digits, letters, other scripts, Han": ["1", "a", "Ω", "я", "ア", "阿"],
    "characters beyond GB 2312's first level": ["阿", "晨", "晟", "昊", "鑫", "张"],
    "tones": ["妈", "麻", "马", "骂"],
    "a character that is read otherwise in a word": ["陈", "重庆", "初", "中", "重量"],
    "of a longer word too": ["长春", "长沙", "陈", "张", "长者"],
    "characters without a reading stand last": ["左", "𠮷"],
}
ONE_KEY = {
    "case": ("ACME", "acme"),
    "width": ("ＡＣＭＥ１２", "acme12"),
    "composition": ("Cafe\u0301", "Café"),
    "half width kana": ("ｱ", "ア"),
}


async def _ordered(url: str, names: list[str]) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT name FROM unnest($1::text[]) AS name ORDER BY crm_order_key(name)", names)
    finally:
        await connection.close()
    return [row["name"] for row in rows]


@pytest.mark.parametrize("case", IN_ORDER)
async def test_texts_are_in_the_order_of_their_readers(database_url: str, case: str) -> None:
    expected = IN_ORDER[case]
    assert await _ordered(database_url, sorted(expected, reverse=True)) == expected


@pytest.mark.parametrize("case", ONE_KEY)
async def test_what_is_spelled_otherwise_has_one_key(database_url: str, case: str) -> None:
    connection = await asyncpg.connect(database_url)
    same = await connection.fetchval("SELECT crm_order_key($1) = crm_order_key($2)", *ONE_KEY[case])
    await connection.close()
    assert same


async def test_every_character_with_a_reading_is_ordered_by_it(database_url: str) -> None:
    """All 26,000 of them: by syllable and tone, and none of another syllable between two of one."""
    letters = [chr(point) for point in range(FIRST, LAST + 1)]
    said = {each: lazy_pinyin(each, style=Style.TONE3, neutral_tone_with_five=True)[0] for each in letters}
    known = [each for each in letters if each not in said[each]]
    found = [said[each] for each in await _ordered(database_url, known)]
    assert found == sorted(found, key=lambda reading: (reading[:-1].replace("v", "u~"), reading[-1]))
    assert len(known) > 26_000


async def test_a_key_fits_into_an_index(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    for letter in ("a", "é", "龘", "𠮷", "각"):
        size = await connection.fetchval("SELECT octet_length(crm_order_key(repeat($1, 500)))", letter)
        assert size < 2_000, letter
    longer = await connection.fetchval(
        "SELECT crm_order_key(repeat('a', $1)) = crm_order_key(repeat('a', $1) || 'b')", KEY_LETTERS
    )
    await connection.close()
    assert longer
