"""Stop containers: the phases, the decisions and the verdict.

Pure: clock, engine, evidence and ledger come in from outside.
"""
