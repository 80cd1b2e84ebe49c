"""Units, orders, auctions, the slot's life, settlement, and the trade application. Pure; integers only."""
