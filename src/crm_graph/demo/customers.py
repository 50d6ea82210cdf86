"""Customers with their contacts. A customer's lifecycle follows from its deals and orders, so it is written after them
are decided."""

from __future__ import annotations

from dataclasses import dataclass

from crm_graph.demo.catalogue import BASE_CURRENCY, FOREIGN_CURRENCY
from crm_graph.demo.copy import Sheets
from crm_graph.demo.dice import Dice
from crm_graph.demo.names import (
    TITLES,
    WESTERN_TITLES,
    Company,
    Person,
    chinese_company,
    person,
    phone,
    private_customer,
    western_company,
)
from crm_graph.demo.organisation import Organisation, Seller
from crm_graph.demo.times import DAY, END, LAST_CUSTOMER, START
from crm_graph.domains.customers.contacts.model import Contact
from crm_graph.domains.customers.customers.model import Customer, CustomerKind, Lifecycle

CONTACTS = (1, 1, 1, 1, 2, 2, 2, 2, 3, 5)
"""How many contacts each of ten customers has."""
_PRIVATE, _WESTERN, _BRANCH = 0.1, 0.22, 0.04
_CHURNED, _CHURN_AFTER = 0.35, 300 * DAY
_SOURCES = ("官网", "官网", "展会", "转介绍", "转介绍", "广告", "电话营销", "合作伙伴", "Website", "Referral")
_SIZES = (5, 12, 20, 35, 60, 80, 120, 200, 350, 600, 1_200, 4_500)


@dataclass(slots=True)
class Buyer:
    """A customer while its rows are made. Times of what happened are None until it does."""

    id: str
    company: Company
    kind: CustomerKind
    created: int
    owner: Seller
    currency: str
    parent_id: str | None = None
    contact_ids: tuple[str, ...] = ()
    first_deal: int | None = None
    bought: int | None = None
    last_seen: int = 0


class Customers:
    """Makes customers, the oldest first."""

    def __init__(self, sheets: Sheets, organisation: Organisation, dice: Dice, count: int) -> None:
        self._workspace = sheets.workspace_id
        self._organisation = organisation
        self._dice = dice
        self._count = count
        self._made = 0
        self._latest_company: Buyer | None = None
        self._customers = sheets.open(
            Customer,
            *("id", "kind", "name", "lifecycle", "lifecycle_since", "industry", "email", "phone", "website", "city"),
            *("country", "employees", "founded_year", "annual_revenue", "currency", "source", "owner_id", "parent_id"),
            *("external_id", "version", "created_at", "updated_at"),
        )
        self._contacts = sheets.open(
            Contact,
            *("id", "customer_id", "name", "title", "email", "phone", "version", "created_at", "updated_at"),
        )

    def meet(self) -> Buyer:
        """Return the next customer, who is written by `write` when it is known what they did."""
        dice, number = self._dice, self._made
        self._made += 1
        created = START + 30 * DAY + (LAST_CUSTOMER - START - 30 * DAY) * number // self._count
        kind, parent_id = CustomerKind.COMPANY, None
        kind_of = dice.random()
        if kind_of < _PRIVATE:
            kind, company = CustomerKind.PERSON, private_customer(dice, number)
        elif kind_of < _PRIVATE + _WESTERN:
            company = western_company(dice, number)
        else:
            company = chinese_company(dice, number)
            head = self._latest_company
            if head is not None and head.company.chinese and dice.chance(_BRANCH):
                company, parent_id = _branch(head.company, company), head.id
        currency = BASE_CURRENCY if company.chinese else FOREIGN_CURRENCY
        id_ = self._customers.new_id()
        buyer = Buyer(id_, company, kind, created, self._organisation.owner(dice), currency, parent_id)
        buyer.last_seen = created
        if kind is CustomerKind.COMPANY and parent_id is None:
            self._latest_company = buyer
        return buyer

    def add_contacts(self, buyer: Buyer, count: int) -> None:
        """Write the people at a customer."""
        dice, company, created = self._dice, buyer.company, buyer.created
        titles = TITLES if company.chinese else WESTERN_TITLES
        ids = []
        for index in range(count):
            who = person(dice, company.chinese)
            id_ = self._contacts.new_id()
            ids.append(id_)
            if buyer.kind is CustomerKind.PERSON and index == 0:
                who = Person(company.name, company.mailbox)
            title = None if buyer.kind is CustomerKind.PERSON else dice.pick(titles)
            row = (id_, buyer.id, who.name, title, f"{who.mailbox}@{company.domain}", phone(dice, company.chinese))
            self._contacts.rows.append((self._workspace, *row, 1, created, created))
        buyer.contact_ids = tuple(ids)

    def write(self, buyer: Buyer) -> None:
        """Write a customer with the lifecycle that its deals and orders led to."""
        dice, company, created = self._dice, buyer.company, buyer.created
        lifecycle, since, version = self._lifecycle(buyer)
        is_company = buyer.kind is CustomerKind.COMPANY
        employees = dice.pick(_SIZES) + dice.between(0, 10) if is_company else None
        revenue = None
        if employees is not None and dice.chance(0.7):
            revenue = employees * dice.between(8, 60) * 10_000 * 100
        self._customers.rows.append(
            (
                self._workspace,
                buyer.id,
                buyer.kind.value,
                company.name,
                lifecycle.value,
                since,
                company.industry,
                f"{company.mailbox}@{company.domain}",
                phone(dice, company.chinese),
                f"https://www.{company.domain}" if is_company else None,
                company.city,
                company.country,
                employees,
                dice.between(1960, 2023) if is_company else None,
                revenue,
                None if revenue is None else buyer.currency,
                dice.pick(_SOURCES),
                buyer.owner.id,
                buyer.parent_id,
                f"demo-{self._made:07d}",
                version,
                created,
                since,
            )
        )

    def _lifecycle(self, buyer: Buyer) -> tuple[Lifecycle, int, int]:
        """Return where a customer stands, since when, and its version: one more per move."""
        if buyer.bought is not None:
            quiet = END - buyer.last_seen
            if quiet > _CHURN_AFTER and self._dice.chance(_CHURNED):
                return Lifecycle.CHURNED, buyer.last_seen + _CHURN_AFTER, 3
            return Lifecycle.ACTIVE, buyer.bought, 2
        if buyer.first_deal is not None:
            return Lifecycle.INTERESTED, buyer.first_deal, 2
        return Lifecycle.POTENTIAL, buyer.created, 1


def _branch(head: Company, own: Company) -> Company:
    """Return a company as a branch of another, in a city of its own."""
    return Company(
        f"{head.name}{own.city}分公司",
        f"{head.short}{own.city}",
        own.domain,
        head.industry,
        own.city,
        own.country,
        True,
    )
