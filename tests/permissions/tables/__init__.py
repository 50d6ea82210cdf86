"""One authorisation table per entity: who may read it, who may write it, and what everybody else is answered.

Each table is data; `test_tables.py` is the one runner. A root field or mutation that is in no table fails a test.
"""
