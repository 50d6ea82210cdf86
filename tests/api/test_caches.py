"""The caches that requests share: bounded in bytes, fresh, and read once however many ask."""

from __future__ import annotations

import asyncio

import pytest

from crm_graph.api.documents.cache import DocumentCache, DocumentError
from crm_graph.api.documents.read_cache import ReadCache
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.caches import ByteCache
from crm_graph.kernel.settings import Settings


def test_the_least_recently_used_goes_first() -> None:
    cache: ByteCache[str, int] = ByteCache(10)
    cache.put("a", 1, 4)
    cache.put("b", 2, 4)
    assert cache.get("a") == 1
    cache.put("c", 3, 4)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), cache.bytes) == (1, None, 3, 8)


def test_a_value_is_weighed_once() -> None:
    cache: ByteCache[str, int] = ByteCache(10)
    for size in (4, 6, 2):
        cache.put("a", size, size)
    assert (len(cache), cache.bytes) == (1, 2)
    cache.drop("a")
    cache.drop("a")
    assert (len(cache), cache.bytes) == (0, 0)


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache: ByteCache[str, int] = ByteCache(10)
    cache.put("a", 1, 4)
    cache.put("b", 2, 11)
    assert (cache.get("a"), cache.get("b"), cache.bytes) == (1, None, 4)


class Source:
    """What is read: the values by key, and how often."""

    def __init__(self) -> None:
        self.now = 0.0
        self.values: dict[str, str] = {}
        self.reads = 0
        self.cache: ReadCache[str, str] = ReadCache(8_000, 10, 1, lambda: self.now)

    async def get(self, key: str) -> str | None:
        async def read() -> tuple[str, int] | None:
            self.reads += 1
            value = self.values.get(key)
            await asyncio.sleep(0)
            return None if value is None else (value, len(value))

        return await self.cache.get(key, 100, read)


async def test_a_value_is_read_once_until_it_is_old() -> None:
    source = Source()
    source.values["a"] = "one"
    assert await asyncio.gather(*(source.get("a") for _ in range(50))) == ["one"] * 50
    source.values["a"] = "two"
    source.now = 9.9
    assert (await source.get("a"), source.reads) == ("one", 1)
    source.now = 10
    assert (await source.get("a"), source.reads) == ("two", 2)
    del source.values["a"]
    source.now = 20
    assert (await source.get("a"), source.reads) == (None, 3)


async def test_what_is_absent_is_remembered_for_a_shorter_time() -> None:
    source = Source()
    assert (await source.get("a"), await source.get("a"), source.reads) == (None, None, 1)
    source.values["a"] = "one"
    source.now = 1
    assert (await source.get("a"), source.reads) == ("one", 2)


async def test_asking_for_nonsense_pushes_nothing_out() -> None:
    source = Source()
    source.values["a"] = "one"
    await source.get("a")
    for number in range(1_000):
        assert await source.get(f"nonsense {number}") is None
    assert source.cache.bytes <= 8_000
    reads = source.reads
    assert (await source.get("a"), source.reads) == ("one", reads)


async def test_a_failed_read_is_nobody_s_answer_but_those_who_waited() -> None:
    source = Source()

    async def fail() -> tuple[str, int] | None:
        raise OSError("away")

    with pytest.raises(OSError, match="away"):
        await source.cache.get("a", 100, fail)
    source.values["a"] = "one"
    assert await source.get("a") == "one"


async def test_who_leaves_does_not_end_the_read_of_others() -> None:
    source = Source()
    source.values["a"] = "one"
    leaving, staying = (asyncio.ensure_future(source.get("a")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying, source.reads) == ("one", 1)


def test_documents_are_weighed_by_their_tokens(schema: BuiltSchema) -> None:
    """A byte of source costs 85 to 400 bytes parsed, by how terse it is; a token at most 600."""
    cache = DocumentCache.of(schema, Settings(document_cache_bytes=600 * 40))
    for number in range(20):
        cache.get(f"query Q{number} {{ __typename }}")
    assert cache._documents.bytes <= 600 * 40
    assert len(cache._documents) == 7
    cache.get("query Q19 { __typename }")
    assert (cache.hits, cache.misses) == (1, 20)


def test_a_document_loaded_on_trust_is_validated_before_others_run_it(schema: BuiltSchema) -> None:
    cache = DocumentCache.of(schema, Settings())
    source = "{ nope }"
    assert cache.trusted("ab" * 32, source, valid=True).node is cache.trusted("ab" * 32, source, valid=True).node
    with pytest.raises(DocumentError) as refused:
        cache.trusted("ab" * 32, source, valid=False)
    assert refused.value.code == "VALIDATION_FAILED"
    deep = "{" + "a{" * 13 + "b" + "}" * 14
    with pytest.raises(DocumentError) as refused:
        cache.trusted("cd" * 32, deep, valid=True)
    assert refused.value.code == "COST_LIMIT_EXCEEDED"
