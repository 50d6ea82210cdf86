"""What happens to exchange rates."""

from __future__ import annotations

from crm_graph.events.effects import Changes, Creates, Removes


class ExchangeRateSet(Creates):
    """A rate was given to a day that had none."""


class ExchangeRateChanged(Changes):
    """The rate of a day became another one."""


class ExchangeRateDeleted(Removes):
    """The rate of a day was taken away."""


EVENTS = (ExchangeRateSet, ExchangeRateChanged, ExchangeRateDeleted)
