"""Times in buckets whose bounds grow by the same factor: ten to a decade, from a millisecond to a day and beyond."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

PER_DECADE: Final = 10
BUCKETS: Final = 80
"""The last one is open: what took longer than a day."""
_FINEST: Final = 0.001


def bucket_of(seconds: str) -> str:
    """SQL: the bucket of an expression in seconds."""
    return (
        f"LEAST({BUCKETS - 1}, GREATEST(0, floor("
        f"log(GREATEST({seconds}, {_FINEST})::float8 / {_FINEST}) * {PER_DECADE})))::smallint"
    )


def lower_bound(bucket: int) -> float:
    """The shortest time, in seconds, that a bucket holds."""
    return float(_FINEST * 10 ** (bucket / PER_DECADE)) if bucket else 0.0


@dataclass(slots=True)
class Histogram:
    """How many steps took how long."""

    counts: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    longest: float = 0.0

    def add(self, bucket: int, count: int, seconds: float, longest: float) -> None:
        """Count so many steps of one bucket."""
        self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.seconds += seconds
        self.longest = max(self.longest, longest)

    @classmethod
    def together(cls, some: Iterable[Histogram]) -> Self:
        """The steps of several histograms in one."""
        whole = cls()
        for each in some:
            for bucket, count in each.counts.items():
                whole.add(bucket, count, 0.0, each.longest)
            whole.seconds += each.seconds
        return whole

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    @property
    def mean(self) -> float | None:
        """Seconds; None where nothing was timed."""
        return self.seconds / self.count if self.count else None

    def percentile(self, share: float) -> float | None:
        """The seconds that this share of the steps took at the most, by its place within its bucket.

        It is off by less than the width of a bucket, a quarter. None where nothing was timed.
        """
        return _percentile(self.counts, share * self.count, self.longest) if self.count else None


def _percentile(counts: Mapping[int, int], wanted: float, longest: float) -> float:
    passed = 0
    for bucket in sorted(counts):
        if passed + counts[bucket] >= wanted:
            low, high = lower_bound(bucket), min(lower_bound(bucket + 1), longest)
            share = (wanted - passed) / counts[bucket]
            return min(longest, low + (high - low) * max(0.0, share))
        passed += counts[bucket]
    return longest
