"""Products, exchange rates, pipelines and stages: what a whole workspace shares."""

from __future__ import annotations

from tests.permissions.tables.table import (
    NOBODY,
    OWN_WORKSPACE,
    ROW,
    Id,
    Table,
    Without,
    Write,
    no_such,
    no_verb,
)


def _without(verb: str, plural: str, *roles: str) -> list[Without]:
    return [Without(role, no_verb(verb, plural)) for role in (NOBODY, *roles)]


PRODUCTS = Table(
    "Product",
    reads=("product", "products", "productsAggregate"),
    watches=("productChanged",),
    seen_by="marketer",
    unseen_by=[(NOBODY, "own")],
    writes=[
        Write(
            "createProduct",
            "create",
            {"id": ROW, "name": "Zebra"},
            right="sales_manager",
            without=_without("create", "products", "sales_rep", "analyst"),
            stranger=OWN_WORKSPACE,
            events=["ProductCreated"],
            tables=["product"],
        ),
        Write(
            "updateProduct",
            "update",
            {"id": ROW, "name": "Zebra"},
            right="integration",
            without=_without("update", "products", "sales_rep", "analyst"),
            stranger=no_such("product"),
            events=["ProductUpdated"],
            tables=["product"],
        ),
        Write(
            "deleteProduct",
            "delete",
            {"id": ROW},
            right="admin",
            without=_without("delete", "products", "sales_manager", "integration"),
            stranger=no_such("product"),
            events=["ProductDeleted"],
            tables=["product"],
            fresh=True,
        ),
    ],
)

RATES = Table(
    "ExchangeRate",
    reads=("exchangeRate", "exchangeRates", "exchangeRatesAggregate"),
    seen_by="sales_rep",
    unseen_by=[(NOBODY, "own")],
    writes=[
        Write(
            "setExchangeRate",
            "create",
            {"currency": "EUR", "validFrom": "2031-05-01", "rate": "7.8123456789"},
            right="finance",
            without=_without("create", "exchange rates", "sales_rep", "analyst"),
            stranger=OWN_WORKSPACE,
            events=["ExchangeRateSet"],
            tables=["exchange_rate", "timer"],
        ),
        Write(
            "deleteExchangeRate",
            "delete",
            {"id": ROW},
            right="finance",
            without=_without("delete", "exchange rates", "sales_manager", "integration"),
            stranger=no_such("exchange rate"),
            events=["ExchangeRateDeleted"],
            tables=["exchange_rate", "timer"],
            fresh=True,
        ),
    ],
)

PIPELINES = Table(
    "Pipeline",
    reads=("pipeline", "pipelines", "pipelinesAggregate"),
    seen_by="sales_rep",
    unseen_by=[(NOBODY, "own")],
    writes=[
        Write(
            "createPipeline",
            "create",
            {"id": ROW, "name": "Zebra"},
            right="sales_manager",
            without=_without("create", "pipelines", "sales_rep"),
            stranger=OWN_WORKSPACE,
            events=["PipelineCreated", *["StageCreated"] * 6],
            tables=["pipeline", "stage"],
        ),
        Write(
            "updatePipeline",
            "update",
            {"id": ROW, "name": "Zebra"},
            right="sales_manager",
            without=_without("update", "pipelines", "sales_rep"),
            stranger=no_such("pipeline"),
            events=["PipelineUpdated"],
            tables=["pipeline"],
        ),
    ],
)

STAGES = Table(
    "Stage",
    reads=("stage", "stages", "stagesAggregate"),
    seen_by="sales_rep",
    unseen_by=[(NOBODY, "own")],
    writes=[
        Write(
            "createStage",
            "update",
            {"pipelineId": Id("Pipeline"), "name": "Zebra", "position": 9, "kind": "OPEN", "probability": 50},
            right="sales_manager",
            without=_without("update", "stages", "sales_rep"),
            stranger=no_such("pipeline", "pipelineId"),
            events=["StageCreated", "PipelineUpdated"],
            tables=["pipeline", "stage"],
        ),
        Write(
            "updateStage",
            "update",
            {"id": ROW, "name": "Zebra"},
            right="sales_manager",
            without=_without("update", "stages", "sales_rep"),
            stranger=no_such("stage"),
            events=["StageUpdated", "PipelineUpdated"],
            tables=["pipeline", "stage"],
        ),
        Write(
            "moveStage",
            "update",
            {"id": ROW, "position": 5},
            right="sales_manager",
            without=_without("update", "stages", "sales_rep"),
            stranger=no_such("stage"),
            events=["StageUpdated", "PipelineUpdated"],
            tables=["pipeline", "stage"],
        ),
        Write(
            "retireStage",
            "update",
            {"id": ROW, "into": Id("Stage", "team")},
            right="sales_manager",
            without=_without("update", "stages", "sales_rep"),
            stranger=no_such("stage"),
            events=["OpportunityStageChanged", "StageDeleted", "PipelineUpdated"],
            tables=["opportunity", "pipeline", "stage", "stage_move"],
            also={Id("Stage", "team"): {"pipeline_id": Id("Pipeline")}},
        ),
        Write(
            "deleteStage",
            "update",
            {"id": ROW},
            right="sales_manager",
            without=_without("update", "stages", "sales_rep"),
            stranger=no_such("stage"),
            events=["StageDeleted", "PipelineUpdated"],
            tables=["pipeline", "stage"],
            fresh=True,
        ),
    ],
)

TABLES = (PRODUCTS, RATES, PIPELINES, STAGES)
