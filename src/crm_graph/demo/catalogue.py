"""What is sold, and how: products with prices in two currencies, and the default pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from crm_graph.demo.copy import Sheets
from crm_graph.demo.times import START, day_of
from crm_graph.domains.catalog.products.model import Product
from crm_graph.domains.sales.pipelines.model import DEFAULT_STAGES, Pipeline, Stage, StageKind
from crm_graph.domains.workspace.rates.model import ExchangeRate

BASE_CURRENCY = "CNY"
FOREIGN_CURRENCY = "USD"
FOREIGN_RATE = 7
"""What one unit of the foreign currency is worth."""

_SERIES = (  # Chinese, English, code, price of the first edition in the base currency
    ("智能网关", "Smart Gateway", "GW", 1_280),
    ("工业路由器", "Industrial Router", "IR", 2_460),
    ("温湿度传感器", "Climate Sensor", "CS", 360),
    ("仓储机器人", "Warehouse Robot", "WR", 86_000),
    ("视觉检测仪", "Vision Inspector", "VI", 28_600),
    ("能耗监测系统", "Energy Monitor", "EM", 9_800),
    ("生产执行系统", "Plant Control", "PC", 48_000),
    ("数据分析平台", "Data Platform", "DP", 36_000),
    ("现场服务", "Field Service", "FS", 1_600),
    ("技术培训", "Training", "TR", 4_200),
)
_EDITIONS = (  # Chinese, English, code, price in percent of the first
    ("标准版", "Standard", "S", 100),
    ("专业版", "Professional", "P", 180),
    ("企业版", "Enterprise", "E", 320),
    ("旗舰版", "Flagship", "F", 500),
)
_DISCONTINUED = frozenset({"CS-F", "TR-F"})
_STEP = 20
"""Prices are multiples of this, and discounts of 5 %: so every total is a whole number of hundredths."""


def in_base(amount: int | None, currency: str, day: int) -> tuple[int | None, int | None, int | None]:
    """Return what an amount comes to in the base currency, at which rate, and of which day; in hundredths."""
    if amount is None:
        return None, None, None
    rate = 1 if currency == BASE_CURRENCY else FOREIGN_RATE
    return amount * rate, rate * 100, day


@dataclass(frozen=True, slots=True)
class Item:
    """A product on offer; prices in hundredths."""

    id: str
    name: str
    series: str
    prices: dict[str, int]


@dataclass(frozen=True, slots=True)
class DemoStage:
    """A stage of the default pipeline."""

    id: str
    kind: str
    probability: int
    required_fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the deals and orders of a workspace draw on. The stages that are open come in their order."""

    items: tuple[Item, ...]
    pipeline_id: str
    open_stages: tuple[DemoStage, ...]
    won: DemoStage
    lost: DemoStage


def stock(sheets: Sheets) -> Catalogue:
    """Write products, the pipeline and the rate of the foreign currency."""
    items = _products(sheets)
    rates = sheets.open(ExchangeRate, "id", "currency", "valid_from", "rate", "version", "created_at", "updated_at")
    row = (rates.new_id(), FOREIGN_CURRENCY, day_of(START), FOREIGN_RATE * 100, 1, START, START)
    rates.rows.append((sheets.workspace_id, *row))
    pipelines = sheets.open(Pipeline, "id", "name", "version", "created_at", "updated_at")
    stages = sheets.open(
        Stage,
        *("id", "pipeline_id", "name", "position", "kind", "probability", "required_fields"),
        *("version", "created_at", "updated_at"),
    )
    pipeline_id = pipelines.new_id()
    pipelines.rows.append((sheets.workspace_id, pipeline_id, "Sales", 1, START, START))
    stages_by_kind: dict[StageKind, list[DemoStage]] = {kind: [] for kind in StageKind}
    for position, (name, kind, probability, required) in enumerate(DEFAULT_STAGES):
        stage = DemoStage(stages.new_id(), kind.value, probability, tuple(required))
        of_stage = (stage.id, pipeline_id, name, position, kind.value, probability, list(required), 1, START, START)
        stages.rows.append((sheets.workspace_id, *of_stage))
        stages_by_kind[kind].append(stage)
    return Catalogue(
        items,
        pipeline_id,
        tuple(stages_by_kind[StageKind.OPEN]),
        stages_by_kind[StageKind.WON][0],
        stages_by_kind[StageKind.LOST][0],
    )


def _products(sheets: Sheets) -> tuple[Item, ...]:
    products = sheets.open(
        Product,
        *("id", "name", "sku", "series", "description", "price", "currency", "active"),
        *("version", "created_at", "updated_at"),
    )
    items = []
    for series, english, code, base in _SERIES:
        for edition, english_edition, edition_code, percent in _EDITIONS:
            sku = f"{code}-{edition_code}"
            price = _round(base * percent // 100)
            item = Item(
                products.new_id(),
                f"{series} {edition}",
                series,
                {BASE_CURRENCY: price * 100, FOREIGN_CURRENCY: _round(price // FOREIGN_RATE) * 100},
            )
            active = sku not in _DISCONTINUED
            told = f"{english} {english_edition}"
            row = (item.id, item.name, sku, series, told, item.prices[BASE_CURRENCY], BASE_CURRENCY, active)
            products.rows.append((sheets.workspace_id, *row, 1, START, START))
            if active:
                items.append(item)
    return tuple(items)


def _round(price: int) -> int:
    return max(_STEP, price // _STEP * _STEP)
