"""The operations, in the words of each schema.

Three schemas: ours, PostGraphile's (made from the tables, with aliases that cost nothing) and the one that the two
hand-written peers share, which is what their authors would write: amounts as two plain fields, nested lists as lists.
"""

from __future__ import annotations

OURS = {
    "point": "query ($id: ID!) { customer(id: $id) { id name kind lifecycle industry city version createdAt } }",
    "page": """{ customers(first: 50) { nodes {
        id name kind lifecycle industry city version createdAt owner { name } } } }""",
    "graph": """{ customers(first: 20) { nodes { name
        opportunities(first: 5) { nodes { name amount { amount currency } owner { name } } }
        tickets(first: 5) { nodes { number subject status } }
        orders(first: 5) { nodes { number status lines { nodes { quantity total { amount currency } } } } } } } }""",
    "thousand": """{ opportunities(first: 1000) { nodes {
        id name status amount { amount currency } probability expectedClose source createdAt customer { name } } } }""",
    "filtered": """{ opportunities(first: 50, where: {status: {eq: OPEN}, amount: {gte: "1000"}},
        orderBy: [{field: AMOUNT, direction: DESC}]) { totalCount nodes { id name amount { amount currency } } } }""",
    "aggregate": """{ opportunitiesAggregate(groupBy: [{field: STAGE}]) { groups {
        key { stage { id name } } count sum { amount } } } }""",
    "move": """mutation ($id: ID!, $stage: ID!) { moveOpportunity(input: {id: $id, stageId: $stage}) {
        opportunity { id name stage { name } customer { name } } } }""",
}

HAND_WRITTEN = {
    "point": "query ($id: %s!) { customer(id: $id) { id name kind lifecycle industry city version createdAt } }",
    "page": "{ customers(first: 50) { id name kind lifecycle industry city version createdAt owner { name } } }",
    "graph": """{ customers(first: 20) { name
        opportunities(first: 5) { name amount currency owner { name } }
        tickets(first: 5) { number subject status }
        orders(first: 5) { number status lines { quantity total currency } } } }""",
    "thousand": """{ opportunities(first: 1000) { nodes {
        id name status amount currency probability expectedClose source createdAt customer { name } } } }""",
    "filtered": """{ opportunities(first: 50, status: "OPEN", minAmount: "1000", largestFirst: true) {
        totalCount nodes { id name amount currency } } }""",
    "aggregate": "{ opportunitiesByStage { stage { id name } count amount } }",
    "move": """mutation ($id: %s!, $stage: %s!) { moveOpportunity(id: $id, stageId: $stage) {
        id name stage { name } customer { name } } }""",
}
MERCURIUS = {name: document.replace("%s", "ID") for name, document in HAND_WRITTEN.items()}
STRAWBERRY = {name: document.replace("%s", "UUID") for name, document in HAND_WRITTEN.items()}

POSTGRAPHILE = {
    "point": """query ($workspace: UUID!, $id: UUID!) {
        customer: customerByWorkspaceIdAndRowId(workspaceId: $workspace, rowId: $id) {
            id: rowId name kind lifecycle industry city version createdAt } }""",
    "page": """query ($workspace: UUID!) {
        customers: allCustomers(condition: {workspaceId: $workspace}, first: 50) { nodes {
            id: rowId name kind lifecycle industry city version createdAt
            owner: memberByWorkspaceIdAndOwnerId { name } } } }""",
    "graph": """query ($workspace: UUID!) {
        customers: allCustomers(condition: {workspaceId: $workspace}, first: 20) { nodes { name
            opportunities: opportunitiesByWorkspaceIdAndCustomerId(first: 5) { nodes {
                name amount currency owner: memberByWorkspaceIdAndOwnerId { name } } }
            tickets: ticketsByWorkspaceIdAndCustomerId(first: 5) { nodes { number subject status } }
            orders: salesOrdersByWorkspaceIdAndCustomerId(first: 5) { nodes { number status
                lines: orderLinesByWorkspaceIdAndOrderId { nodes { quantity total currency } } } } } } }""",
    "thousand": """query ($workspace: UUID!) {
        opportunities: allOpportunities(condition: {workspaceId: $workspace}, first: 1000) { nodes {
            id: rowId name status amount currency probability expectedClose source createdAt
            customer: customerByWorkspaceIdAndCustomerId { name } } } }""",
    "filtered": """query ($workspace: UUID!) {
        opportunities: allOpportunities(condition: {workspaceId: $workspace, status: "OPEN"}, first: 50,
            filter: {amount: {greaterThanOrEqualTo: "1000"}}, orderBy: [AMOUNT_DESC, ROW_ID_DESC]) {
            totalCount nodes { id: rowId name amount currency } } }""",
    "aggregate": """query ($workspace: UUID!) {
        opportunitiesByStage(workspaceId: $workspace) { id name count amount } }""",
    "move": """mutation ($id: UUID!, $stage: UUID!) { moveOpportunity(id: $id, stageId: $stage) { opportunity {
        id: rowId name stage: stageByWorkspaceIdAndStageId { name }
        customer: customerByWorkspaceIdAndCustomerId { name } } } }""",
}

NAMES = tuple(OURS)
