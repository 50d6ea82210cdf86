"""What lists are ordered, found and searched by: functions that make keys of texts, and their indexes

Revision: 2026_12_08_lists
Follows: 2026_12_06_history
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crm_graph.db.lists import GRAMS_FUNCTION, grams_of
from crm_graph.db.order_keys import order_key_function

revision = "2026_12_08_lists"
down_revision = "2026_12_06_history"
branch_labels = None
depends_on = None

_INDEXES = (
    ("member", "ix_member_created_at_ordered", ("created_at",)),
    ("member", "ix_member_email_ordered", ("crm_order_key(email)",)),
    ("member", "ix_member_name_found", ("lower(normalize(name, NFKC))",)),
    ("member", "ix_member_name_ordered", ("crm_order_key(name)",)),
    ("member", "ix_member_updated_at_ordered", ("updated_at",)),
    ("product", "ix_product_created_at_ordered", ("created_at",)),
    ("product", "ix_product_name_found", ("lower(normalize(name, NFKC))",)),
    ("product", "ix_product_name_ordered", ("crm_order_key(name)",)),
    ("product", "ix_product_price_ordered", ("price",)),
    ("product", "ix_product_series_ordered", ("crm_order_key(series)",)),
    ("product", "ix_product_sku_ordered", ("crm_order_key(sku)",)),
    ("product", "ix_product_updated_at_ordered", ("updated_at",)),
    ("customer", "ix_customer_annual_revenue_ordered", ("annual_revenue",)),
    ("customer", "ix_customer_city_found", ("lower(normalize(city, NFKC))",)),
    ("customer", "ix_customer_city_ordered", ("crm_order_key(city)",)),
    ("customer", "ix_customer_created_at_ordered", ("created_at",)),
    ("customer", "ix_customer_email_found", ("lower(normalize(email, NFKC))",)),
    ("customer", "ix_customer_employees_ordered", ("employees",)),
    ("customer", "ix_customer_industry_found", ("lower(normalize(industry, NFKC))",)),
    (
        "customer",
        "ix_customer_lifecycle_ordered",
        ("array_position('{POTENTIAL,INTERESTED,ACTIVE,CHURNED}'::text[], lifecycle)",),
    ),
    ("customer", "ix_customer_name_found", ("lower(normalize(name, NFKC))",)),
    ("customer", "ix_customer_name_ordered", ("crm_order_key(name)",)),
    ("customer", "ix_customer_phone_found", ("lower(normalize(phone, NFKC))",)),
    ("customer", "ix_customer_updated_at_ordered", ("updated_at",)),
    ("campaign", "ix_campaign_budget_ordered", ("budget",)),
    ("campaign", "ix_campaign_cost_ordered", ("cost",)),
    ("campaign", "ix_campaign_created_at_ordered", ("created_at",)),
    ("campaign", "ix_campaign_ends_on_ordered", ("ends_on",)),
    ("campaign", "ix_campaign_name_found", ("lower(normalize(name, NFKC))",)),
    ("campaign", "ix_campaign_name_ordered", ("crm_order_key(name)",)),
    ("campaign", "ix_campaign_starts_on_ordered", ("starts_on",)),
    (
        "campaign",
        "ix_campaign_status_ordered",
        ("array_position('{PLANNED,ACTIVE,PAUSED,COMPLETED,CANCELLED}'::text[], status)",),
    ),
    ("campaign", "ix_campaign_updated_at_ordered", ("updated_at",)),
    ("contact", "ix_contact_created_at_ordered", ("created_at",)),
    ("contact", "ix_contact_email_found", ("lower(normalize(email, NFKC))",)),
    ("contact", "ix_contact_name_found", ("lower(normalize(name, NFKC))",)),
    ("contact", "ix_contact_name_ordered", ("crm_order_key(name)",)),
    ("contact", "ix_contact_phone_found", ("lower(normalize(phone, NFKC))",)),
    ("contact", "ix_contact_updated_at_ordered", ("updated_at",)),
    ("opportunity", "ix_opportunity_amount_ordered", ("amount",)),
    ("opportunity", "ix_opportunity_closed_on_ordered", ("closed_on",)),
    ("opportunity", "ix_opportunity_created_at_ordered", ("created_at",)),
    ("opportunity", "ix_opportunity_expected_close_ordered", ("expected_close",)),
    ("opportunity", "ix_opportunity_name_found", ("lower(normalize(name, NFKC))",)),
    ("opportunity", "ix_opportunity_name_ordered", ("crm_order_key(name)",)),
    ("opportunity", "ix_opportunity_stage_since_ordered", ("stage_since",)),
    (
        "opportunity",
        "ix_opportunity_status_expected_close",
        (
            "status",
            "expected_close",
        ),
    ),
    ("opportunity", "ix_opportunity_updated_at_ordered", ("updated_at",)),
    ("sales_order", "ix_sales_order_created_at_ordered", ("created_at",)),
    ("sales_order", "ix_sales_order_number_ordered", ("crm_order_key(number)",)),
    ("sales_order", "ix_sales_order_ordered_on_ordered", ("ordered_on",)),
    (
        "sales_order",
        "ix_sales_order_status_ordered",
        ("array_position('{DRAFT,SUBMITTED,APPROVED,REJECTED,SHIPPED,DELIVERED,CLOSED,CANCELLED}'::text[], status)",),
    ),
    ("sales_order", "ix_sales_order_total_ordered", ("total",)),
    ("sales_order", "ix_sales_order_updated_at_ordered", ("updated_at",)),
    ("ticket", "ix_ticket_created_at_ordered", ("created_at",)),
    ("ticket", "ix_ticket_number_ordered", ("crm_order_key(number)",)),
    ("ticket", "ix_ticket_priority_ordered", ("array_position('{LOW,NORMAL,HIGH,URGENT}'::text[], priority)",)),
    (
        "ticket",
        "ix_ticket_status_created_at",
        (
            "status",
            "created_at",
        ),
    ),
    ("ticket", "ix_ticket_status_ordered", ("array_position('{NEW,OPEN,PENDING,RESOLVED,CLOSED}'::text[], status)",)),
    ("ticket", "ix_ticket_subject_found", ("lower(normalize(subject, NFKC))",)),
    ("ticket", "ix_ticket_subject_ordered", ("crm_order_key(subject)",)),
    ("ticket", "ix_ticket_updated_at_ordered", ("updated_at",)),
)
_SEARCHED = {
    "member": (
        "name",
        "email",
    ),
    "product": (
        "name",
        "sku",
    ),
    "customer": (
        "name",
        "email",
        "phone",
        "city",
    ),
    "campaign": ("name",),
    "contact": (
        "name",
        "email",
        "phone",
    ),
    "opportunity": ("name",),
    "sales_order": ("number",),
    "ticket": (
        "number",
        "subject",
    ),
}


def upgrade() -> None:
    """Lists were ordered by `crm_sort_key`, which stays: the code before this one asks for it."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(order_key_function())
    op.execute(GRAMS_FUNCTION)
    op.drop_index("ix_customer_name_sorted", "customer")
    op.drop_index("ix_customer_name_folded", "customer")
    for table, name, columns in _INDEXES:
        op.create_index(name, table, ["workspace_id", *map(sa.literal_column, columns), "id"])
    for table, columns in _SEARCHED.items():
        op.create_index(f"ix_{table}_searched", table, [sa.text(grams_of(columns))], postgresql_using="gin")


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in _SEARCHED:
        op.drop_index(f"ix_{table}_searched", table)
    for table, name, _ in _INDEXES:
        op.drop_index(name, table)
    op.create_index("ix_customer_name_folded", "customer", ["workspace_id", sa.text("lower(name)")])
    op.create_index(
        "ix_customer_name_sorted", "customer", ["workspace_id", sa.literal_column("crm_sort_key(name)"), "id"]
    )
    op.execute("DROP FUNCTION crm_grams(uuid, text, text, int)")
    op.execute("DROP FUNCTION crm_order_key(text)")
