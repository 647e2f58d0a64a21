"""The same product as people write it by hand: one row, one task and one connection for every message."""
