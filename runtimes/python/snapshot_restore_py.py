"""The hooks that authors know from SnapStart: what to do before a function is cloned, and after.

Both are usable as decorators. Before-hooks run in reverse order of registration, after-hooks in order.
"""

before, after = [], []


def register_before_snapshot(func, *args, **kwargs):
    before.insert(0, (func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    after.append((func, args, kwargs))
    return func
