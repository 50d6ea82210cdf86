"""Content negotiation: which media type a response has, by q-value and then by order.

A client that merely lists `text/event-stream` after JSON (urql does) wants JSON; one that puts it first wants a stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

GRAPHQL_RESPONSE = "application/graphql-response+json"
JSON = "application/json"
EVENT_STREAM = "text/event-stream"
HTML = "text/html"


@dataclass(frozen=True, slots=True)
class Preference:
    """One media range of an Accept header."""

    media: str
    quality: float
    order: int


def parse_accept(header: str | None) -> list[Preference]:
    """Return the media ranges of an Accept header, best first; what cannot be read is left out."""
    preferences = []
    for order, part in enumerate((header or "*/*").split(",")[:50]):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = max(0.0, min(1.0, float(parameter[2:])))
                except ValueError:
                    quality = 0.0
        if media:
            preferences.append(Preference(media, quality, order))
    return sorted(preferences, key=lambda preference: (-preference.quality, preference.order))


@lru_cache(maxsize=256)
def choose(header: str | None, offered: tuple[str, ...]) -> str | None:
    """Return the offered media type that the client likes best, or None; `offered` is in our order of preference."""
    preferences = parse_accept(header)
    refused = {preference.media for preference in preferences if preference.quality == 0}
    for preference in preferences:
        if preference.quality == 0:
            continue
        for media in offered:
            if media not in refused and preference.media in (media, "*/*", f"{media.partition('/')[0]}/*"):
                return media
    return None
