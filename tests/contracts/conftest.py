"""What the contract tests share: a worker that really sends."""

from tests.urgent import urgent_worker, worker

__all__ = ["urgent_worker", "worker"]
