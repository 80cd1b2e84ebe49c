"""Refusals of the trade application, code space `trade`. Numbers are in acknowledgements: never renumber."""

from __future__ import annotations

from cosmos_wire.errors import declare

Malformed = declare("trade", 2, "Malformed", "malformed")
UnknownOffer = declare("trade", 3, "UnknownOffer", "unknown_offer")
TermsDiffer = declare("trade", 4, "TermsDiffer", "terms_differ")
NothingLeft = declare("trade", 5, "NothingLeft", "nothing_left")
BelowMinimum = declare("trade", 6, "BelowMinimum", "below_minimum")
SlotClosed = declare("trade", 7, "SlotClosed", "slot_closed")
SlotHalted = declare("trade", 8, "SlotHalted", "slot_halted")
OppositeDirection = declare("trade", 9, "OppositeDirection", "opposite_direction")
DuplicateContract = declare("trade", 10, "DuplicateContract", "duplicate_contract")
UnknownContract = declare("trade", 11, "UnknownContract", "unknown_contract")
WrongState = declare("trade", 12, "WrongState", "wrong_state")
WrongAmount = declare("trade", 13, "WrongAmount", "wrong_amount")
ReadingOutOfRange = declare("trade", 14, "ReadingOutOfRange", "reading_out_of_range")
ReadingKnown = declare("trade", 15, "ReadingKnown", "reading_known")
NotAllowed = declare("trade", 16, "NotAllowed", "not_allowed")
TooMany = declare("trade", 17, "TooMany", "too_many")
OutsidePriceBand = declare("trade", 18, "OutsidePriceBand", "outside_price_band")
ReadingMismatch = declare("trade", 19, "ReadingMismatch", "reading_mismatch")
ChannelNotClosable = declare("trade", 20, "ChannelNotClosable", "channel_not_closable")
WrongVersion = declare("trade", 21, "WrongVersion", "wrong_version")
WrongOrdering = declare("trade", 22, "WrongOrdering", "wrong_ordering")
LineFull = declare("trade", 23, "LineFull", "line_full")
ReputationTooLow = declare("trade", 24, "ReputationTooLow", "reputation_too_low")
