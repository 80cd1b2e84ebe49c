"""A permissioned ledger in one process: Fabric's execution model and messages, for laptops and tests."""
