"""How texts are ordered: the function `crm_order_key`, which a migration gives to Postgres.

Postgres here has no ICU. Han characters are ordered by their pinyin, then their tone, then their code point, and that
comes from `pypinyin`: the function carries the rank of every character of two blocks, two bytes each. Indexes on it are
the stored keys, and whoever writes rows need not know of them (D-graph-22).

Texts that differ in case, or in the width or composition of their letters alone, have one key. A letter with a
diacritic stands behind the one without, and before the next letter: `Muller`, `Müller`, `Mulm`.
"""

from __future__ import annotations

from collections.abc import Iterator

from pypinyin import Style, lazy_pinyin
from pypinyin.constants import PINYIN_DICT
from pypinyin.contrib.tone_convert import to_tone3

KEY_LETTERS = 100
"""How many letters of a text count: of texts that differ behind them, the id decides."""
FIRST, LAST = 0x3400, 0x9FFF
"""Han characters that have a rank: CJK Unified Ideographs and Extension A. Others stand behind them, by code point."""
_PRIVATE = 0xE000
"""Unicode's area for private use: its first letters stand for characters that are read otherwise than by themselves."""
_PHRASES = (
    "重庆 重阳 重叠 重组 重新 长沙 长春 长安 长江 长城 长治 长兴 长虹 长乐 长宁 长征 长风 厦门 朝阳 银行 行业 音乐"
    " 乐器 乐清 六安 蚌埠 台州 番禺 会计 都江堰 调研 调味 便宜 单县 铅山 曾国藩 柏林 中行 农行 工行 建行 商行 车行"
)
"""Words of names of companies and places in which a character is read otherwise than by itself."""


def ranks() -> tuple[dict[str, int], dict[str, str]]:
    """Return where each character stands among the others, from 1, and how phrases are spelled with private letters,
    which have ranks as well."""
    said = {chr(point): _by_itself(point) for point in PINYIN_DICT if FIRST <= point <= LAST}
    private: dict[tuple[str, str], str] = {}
    spelled = {}
    for phrase in _PHRASES.split():
        readings = lazy_pinyin(phrase, style=Style.TONE3, neutral_tone_with_five=True)
        letters = [
            letter if said[letter] == reading else private.setdefault((letter, reading), chr(_PRIVATE + len(private)))
            for letter, reading in zip(phrase, readings, strict=True)
        ]
        spelled[phrase] = "".join(letters)
    places = [(_sortable(reading), letter, letter) for letter, reading in said.items()]
    places += [(_sortable(reading), letter, stands_for) for (letter, reading), stands_for in private.items()]
    ranked = {letter: place for place, (_, _, letter) in enumerate(sorted(places), 1)}
    return ranked, {phrase: letters for phrase, letters in spelled.items() if letters != phrase}


def _by_itself(point: int) -> str:
    reading: str = to_tone3(PINYIN_DICT[point].partition(",")[0], neutral_tone_with_five=True)
    return reading


def _sortable(reading: str) -> tuple[str, str]:
    """Return a reading as it sorts: `lv` behind `lu`, and tones after letters."""
    return reading[:-1].replace("ü", "u~").replace("v", "u~"), reading[-1]


def order_key_function() -> str:
    """Return the SQL that makes `crm_order_key(text) RETURNS bytea`."""
    ranked, spelled = ranks()
    table = b"".join(ranked.get(chr(point), 0).to_bytes(2, "big") for point in range(FIRST, LAST + 1))
    private = b"".join(each.to_bytes(2, "big") for each in _private_ranks(ranked))
    replaced = "folded"
    for phrase, letters in spelled.items():
        replaced = f"replace({replaced}, '{phrase}', '{letters}')"
    return _FUNCTION.format(
        letters=KEY_LETTERS,
        phrases="|".join(spelled),
        replaced=replaced,
        first=FIRST,
        last=LAST,
        table=table.hex(),
        private_first=_PRIVATE,
        private_last=_PRIVATE + len(private) // 2 - 1,
        private=private.hex(),
    )


def _private_ranks(ranked: dict[str, int]) -> Iterator[int]:
    point = _PRIVATE
    while chr(point) in ranked:
        yield ranked[chr(point)]
        point += 1


_FUNCTION = """
CREATE FUNCTION crm_order_key(text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  folded text := left(lower(normalize($1, NFKC)), {letters});
  bare text;
  letter text;
  point int;
  key bytea := '';
BEGIN
  IF octet_length(folded) = length(folded) THEN
    RETURN convert_to(folded, 'UTF8');
  END IF;
  bare := regexp_replace(normalize(folded, NFKD), '[\\u0300-\\u036f]', '', 'g');
  bare := translate(bare, 'øđłħŧı', 'odlhti');
  bare := replace(replace(replace(replace(bare, 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th');
  IF octet_length(bare) = length(bare) THEN
    RETURN convert_to(bare, 'UTF8') || '\\x00'::bytea || convert_to(folded, 'UTF8');
  END IF;
  IF bare ~ '{phrases}' THEN
    folded := bare;
    bare := {replaced};
  END IF;
  FOREACH letter IN ARRAY string_to_array(bare, NULL) LOOP
    point := ascii(letter);
    IF point BETWEEN {first} AND {last} THEN
      key := key || '\\xfe'::bytea || substring('\\x{table}'::bytea FROM 2 * (point - {first}) + 1 FOR 2);
    ELSIF point BETWEEN {private_first} AND {private_last} THEN
      key := key || '\\xfe'::bytea || substring('\\x{private}'::bytea FROM 2 * (point - {private_first}) + 1 FOR 2);
    ELSIF point > 131071 THEN
      key := key || '\\xff'::bytea || convert_to(letter, 'UTF8');
    ELSE
      key := key || convert_to(letter, 'UTF8');
    END IF;
  END LOOP;
  RETURN key || '\\x00'::bytea || convert_to(folded, 'UTF8');
END $$
"""
