"""Refusals of the code spaces `market`, `meter` and `registry`; numbers as in the slot protocol, section 7."""

from __future__ import annotations

from cosmos_wire.errors import declare

UnknownSlot = declare("market", 2, "UnknownSlot", "unknown slot")
WrongState = declare("market", 3, "WrongState", "wrong state of the slot")
NotAuthorized = declare("market", 4, "NotAuthorized", "unauthorized")
PriceOutOfBand = declare("market", 5, "PriceOutOfBand", "price out of band")
QuantityOutOfRange = declare("market", 6, "QuantityOutOfRange", "quantity out of range")
TooManyOrders = declare("market", 7, "TooManyOrders", "too many orders")
InsufficientBalance = declare("market", 8, "InsufficientBalance", "insufficient funds")
InsufficientCollateral = declare("market", 9, "InsufficientCollateral", "insufficient collateral")
CellNotActive = declare("market", 10, "CellNotActive", "cell not active")
NoSuchOrder = declare("market", 11, "NoSuchOrder", "no such order")
AttemptsUsed = declare("market", 12, "AttemptsUsed", "attempts used")
CapsMalformed = declare("market", 13, "CapsMalformed", "caps malformed")
NotCertified = declare("market", 14, "NotCertified", "schedule not certified")
WelfareNotBetter = declare("market", 15, "WelfareNotBetter", "welfare not better")
BundleInMempool = declare("market", 16, "BundleInMempool", "vote bundle in the mempool")
BundleInvalid = declare("market", 17, "BundleInvalid", "vote bundle invalid")
BundleUnexpected = declare("market", 18, "BundleUnexpected", "vote bundle unexpected")
ScoreTooLow = declare("market", 19, "ScoreTooLow", "score too low")
SlotsFull = declare("market", 20, "SlotsFull", "slots full")
MechanismLimit = declare("market", 30, "MechanismLimit", "too many orders for this mechanism")
SubsidyNotFunded = declare("market", 31, "SubsidyNotFunded", "subsidy not funded")
FeesMalformed = declare("market", 32, "FeesMalformed", "grid fees malformed")

UnknownDevice = declare("meter", 2, "UnknownDevice", "unknown device")
BadSignature = declare("meter", 3, "BadSignature", "bad signature")
Duplicate = declare("meter", 4, "Duplicate", "duplicate reading")
AboveRating = declare("meter", 5, "AboveRating", "above rating")
TotalsDoNotContinue = declare("meter", 6, "TotalsDoNotContinue", "totals do not continue")
NotMissing = declare("meter", 7, "NotMissing", "reading not missing")

Exists = declare("registry", 2, "Exists", "exists already")
Unknown = declare("registry", 3, "Unknown", "unknown")
FeederMalformed = declare("registry", 4, "FeederMalformed", "feeder malformed")
BadId = declare("registry", 5, "BadId", "bad identity")
NetworkCheckUnavailable = declare("registry", 6, "NetworkCheckUnavailable", "this chain can't check such a feeder")
