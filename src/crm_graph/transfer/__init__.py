"""Bringing rows in from files: under the importer's rights, in one transaction, every change with its event.

Problem: the files of other systems are dirty, and most importers either stop at the first bad row or drop what they do
not understand. Here nothing is dropped silently: a file is taken whole, or every reason why not is listed by row and
column.

Overview, one file each, imports go down this list:

    run.py       the steps, one after the other
    load.py      one step: parse, refer, match, hold back, judge, save
    draft.py     a row on its way in, judged against permissions and the slice's rules
    save.py      a batch: rows, parts, events
    match.py     which rows exist already, which unique values are taken, what the importer may do with them
    write.py     COPY for new rows and events, one UPDATE per batch
    resolve.py   references by what people write (an e-mail, a name) instead of ids
    mapping.py   from a row of the file to the texts of an entity's columns
    recipe.py    the steps of an import as TOML
    reader.py    CSV and NDJSON, row by row
    encoding.py  which encoding a file has
    values.py    from a text to a value, strictly
    report.py    what was done, and what was wrong where
    facts.py     what a slice looks up for a batch, under the importer's permissions
    spec.py      what a slice says about its entity

Decisions:

- Rows are written as they are read, in the transaction of the whole command; a failure, a row error or a dry run rolls
  all of it back. So a dry run is exact: it has done the same work.
- COPY in its text format: the binary one goes through asyncpg's codecs, and those of our connections are textual.
- Rows that point to rows of the same file are held back until these are known, then written by one COPY, which checks
  foreign keys when it ends: any order in the file is right.
"""
