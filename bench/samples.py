"""What is said of a set of samples: percentiles that are samples themselves, never interpolated."""

import math


def percentile(values, p):
    """The smallest sample that at least p percent of all are not above; None where there are none."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(math.ceil(len(ordered) * p / 100), 1) - 1]


def summary(values):
    ordered = sorted(values)
    return {"count": len(ordered), "p50": percentile(ordered, 50), "p90": percentile(ordered, 90),
            "p99": percentile(ordered, 99), "max": ordered[-1] if ordered else None}


def ratio(a, b):
    """a / b to three digits behind the point; None where either is missing or b is zero."""
    return round(a / b, 3) if a is not None and b else None
