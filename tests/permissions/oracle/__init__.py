"""The proof of the permissions: random worlds, roles and operations against an oracle in plain Python.

The oracle knows every row and every value. It shares no predicate, no SQL and no code with the permission compiler: two
executors over one compiler cannot find a predicate that both have wrong.

    facts.txt, kinds   what the record types are: columns, owners, wholes, masks; written by hand, held to the schema
    world, invent      all rows of a workspace, read back by plain SQL; random ones
    grants, roles      what roles grant, as the JSON of role files; random ones
    sight              what one member may see of which row, and do with it
    documents, ask     operations as trees, and their GraphQL; random ones
    filters, orders, measures, answer    what an operation must answer, by brute force
    writes, outcome    mutations: what must be accepted, and what must be refused with nothing written
    disturb            changes of what a member may not see, which no answer may show
    live               who must be told of a change, and how
    judge, cases       run through the real engine, and compare
"""
