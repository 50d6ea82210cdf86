"""Personal data and secrets, encrypted at rest. Knows no entity.

Problem: whoever reads a dump, a replica, a backup or the event log should not read identity numbers, nor the secrets by
which somebody signs in. Nor should a value that was copied to another row, column or workspace be taken for its own.

Overview, one file each, imports go down this list:

    rotate.py    new data keys, and everything encrypted anew under them; new master keys
    status.py    which keys there are, and what is under them
    rows.py      what is about to be written to a row
    vault.py     the keys of each workspace: made at first need, kept for a while; `seal` and `open`
    columns.py   the mark on a table's column: what is in it is ciphertext
    keys.py      the keys of one workspace in clear: encrypt, decrypt, blind index
    model.py     the table of wrapped keys
    master.py    master keys from the environment, or from the installation's secrets
    service.py   the port that a KMS implements

Decisions:

- AES-256-GCM under keys of each workspace, which only a master key can unwrap. A workspace whose keys are deleted is
  unreadable within `CRM_VAULT_CACHE_MS`, in the log too. A backup has the wrapped keys with it, so it is as safe as the
  master key that wrapped them.
- A ciphertext is bound to its workspace, column and row: it opens nowhere else.
- The nonce is random; one key is safe for 2^32 values, after which NIST SP 800-38D wants another (`keys rotate`).
- Equality is asked of a blind index, an HMAC under a key of its own. It tells, to whoever reads the table, which rows
  have equal values; that is its price. Nothing else can be asked of an encrypted column.
- Keys are made in a transaction of their own, so no cache ever holds one that was rolled back.
- Old keys are never deleted by us: the log and backups keep ciphertexts that they open.
"""
