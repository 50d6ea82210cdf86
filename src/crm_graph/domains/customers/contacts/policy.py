"""Who may see and change contacts: their own rows and fields, since they are persons."""

from __future__ import annotations

from functools import partial

from crm_graph.db.base import table_of
from crm_graph.domains.customers.contacts.model import Contact
from crm_graph.domains.customers.customers.policy import ACCOUNT, ACCOUNT_TEAM, CUSTOMER, of_account, of_customers
from crm_graph.permissions.grants import ALL, ERASE, HIDDEN, MASKED, OWN, TEAM, FieldGrant, Level, grant, read_only
from crm_graph.permissions.policy import (
    MaskDecrypted,
    Policy,
    last_letters,
    mask_email,
    mask_phone,
    mask_text,
)
from crm_graph.permissions.roles import (
    ANALYST,
    FINANCE,
    INTEGRATION,
    MARKETER,
    SALES_MANAGER,
    SALES_REP,
    SERVICE_MANAGER,
    SUPPORT_AGENT,
)

CONTACT = Policy(
    "Contact",
    table_of(Contact),
    scopes={
        OWN: partial(of_customers, CUSTOMER.scopes[OWN]),
        TEAM: partial(of_customers, CUSTOMER.scopes[TEAM]),
        ACCOUNT: of_account,
        ACCOUNT_TEAM: of_account,  # what stored roles call it
    },
    around_own=frozenset({TEAM, ACCOUNT, ACCOUNT_TEAM}),
    by_name=(ERASE,),
    masks={"name": mask_text, "email": mask_email, "phone": mask_phone, "nationalId": MaskDecrypted(last_letters(4))},
    defaults={
        SALES_MANAGER: grant(
            read=ALL,
            create=TEAM,
            update=TEAM,
            delete=TEAM,
            export=TEAM,
            fields={"nationalId": FieldGrant(Level.WRITE, TEAM)},
        ),
        SALES_REP: grant(read=(OWN, TEAM, ACCOUNT), create=ALL, update=(OWN, ACCOUNT), fields={"nationalId": MASKED}),
        MARKETER: grant(read=ALL, default=Level.READ, fields={"phone": MASKED, "nationalId": HIDDEN}),
        SUPPORT_AGENT: grant(read=ALL, create=ALL, update=ALL, fields={"nationalId": HIDDEN}),
        **dict.fromkeys((SERVICE_MANAGER, FINANCE), grant(read=ALL, default=Level.READ, fields={"nationalId": HIDDEN})),
        ANALYST: read_only(name=MASKED, email=MASKED, phone=MASKED, nationalId=HIDDEN),
        INTEGRATION: grant(read=ALL, create=ALL, update=ALL, export=ALL, fields={"nationalId": HIDDEN}),
    },
)
