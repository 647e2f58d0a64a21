"""Compares Dispatch with what people write by hand, side by side on one machine: `./dispatch bench`."""
