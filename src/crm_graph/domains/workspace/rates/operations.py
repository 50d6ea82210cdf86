"""The only writers of exchange rates. What is open is valued again after each change, by the worker (`valuing.py`)."""

from __future__ import annotations

from typing import Any

from crm_graph.db.statements import Statement
from crm_graph.domains.workspace.rates.events import ExchangeRateChanged, ExchangeRateDeleted, ExchangeRateSet
from crm_graph.domains.workspace.rates.model import ExchangeRate
from crm_graph.domains.workspace.rates.policy import EXCHANGE_RATE
from crm_graph.kernel.errors import Refused
from crm_graph.valuing import restate_later
from crm_graph.work import DELETE, Sent, Work

_FIND = Statement(
    "SELECT id FROM exchange_rate WHERE workspace_id = $1 AND currency = $2 AND valid_from = $3",
    ("workspace_id", "currency", "valid_from"),
    {},
    ("UUID", "TEXT", "DATE"),
)


async def set_exchange_rate(work: Work, sent: Sent) -> str:
    """Give a currency a rate from a day on, in place of the one that this day has. Raises Refused INVALID for the base
    currency."""
    if sent.values["currency"] == work.viewer.base_currency:
        message = f"{work.viewer.base_currency} is the base currency: it is always worth one of itself."
        raise Refused("INVALID", message, ("currency",))
    found = await work.session.fetch_row(_FIND, {**work.viewer.binds, **sent.values})
    if found is None:
        rate = await work.draft(ExchangeRate, EXCHANGE_RATE, sent)
        await work.create(rate, EXCHANGE_RATE, ExchangeRateSet(), sent.fields)
    else:
        changed = Sent({"rate": sent.values["rate"]}, tuple(name for name in sent.fields if name == "rate"))
        rate = await work.revise(ExchangeRate, EXCHANGE_RATE, str(found["id"]), changed, None)
        await work.save(rate, EXCHANGE_RATE, ExchangeRateChanged())
    await _restate(work, rate)
    return rate.id


async def delete_exchange_rate(work: Work, id_: str, if_version: int | None) -> None:
    """Take the rate of a day away: the one before it is valid on."""
    rate = await work.get(ExchangeRate, EXCHANGE_RATE, id_, DELETE, if_version)
    await work.delete(rate, EXCHANGE_RATE, ExchangeRateDeleted())
    await _restate(work, rate)


async def _restate(work: Work, rate: Any) -> None:
    await restate_later(work, rate.currency, (EXCHANGE_RATE.type, rate.id))
