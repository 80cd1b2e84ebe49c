"""What the store refuses, in code space `store`. Numbers are stable."""

from __future__ import annotations

from cosmos_wire.errors import ChainError, declare

BadEntry = declare("store", 2, "BadEntry", "key or value can't be stored")
UnknownStore = declare("store", 3, "UnknownStore", "no such store")
VersionPruned = declare("store", 4, "VersionPruned", "version is not kept any more")
VersionUnknown = declare("store", 5, "VersionUnknown", "version is not committed yet")
StaleBatch = declare("store", 6, "StaleBatch", "batch was not made on the last committed version")
WrongHeight = declare("store", 7, "WrongHeight", "height does not follow the last committed one")
ReadOnly = declare("store", 8, "ReadOnly", "store is only read here")
EmptyTree = declare("store", 9, "EmptyTree", "an empty tree proves nothing")
Missing = declare("store", 10, "Missing", "no store at this path yet")
Corrupt = declare("store", 11, "Corrupt", "store on disk is damaged")
Closed = declare("store", 12, "Closed", "store is closed")

__all__ = [
    "BadEntry",
    "ChainError",
    "Closed",
    "Corrupt",
    "EmptyTree",
    "Missing",
    "ReadOnly",
    "StaleBatch",
    "UnknownStore",
    "VersionPruned",
    "VersionUnknown",
    "WrongHeight",
]
