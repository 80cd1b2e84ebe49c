"""Market mechanisms: pure functions from a book and terms to fills, prices, payments, fees, surplus; integers only."""
