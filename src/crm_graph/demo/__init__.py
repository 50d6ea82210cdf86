"""Demo data: a made-up trading company of any size, the same every time.

Problem: a new installation shows nothing, and a benchmark on made-up rows proves nothing unless everybody can make the
same ones. So the data is a function of three values (number of customers, seed, the workspace's short name), relative
to a fixed day (`times.TODAY`), and every row is one that the operations could have written: totals add up, histories
lead to the status that a row has, numbers continue where the counters stand.

Overview, one file each:

    seed.py          the order of it all, in one transaction
    copy.py          tables, waiting rows and ids; rows to Postgres by binary COPY
    dice.py times.py chance and time, as plain integers
    names.py         the words that names are made of, ours
    organisation.py  workspace, teams and members: the accounts of the banner
    catalogue.py     products and the pipeline
    customers.py sales.py orders.py service.py marketing.py
                     the rows of one customer (or campaign), by domain
"""
