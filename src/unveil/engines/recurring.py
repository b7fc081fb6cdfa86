"""What is worth finding out about things only if they come again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import RLock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


class Recurring(Generic[Key, Found]):
    """What was found out about the keys that came last.

    Args:
        find: finds it out, which takes a while; None where there is nothing to be found.
        kept: keys to know about.
        times: how often a key has come when it is found out.
    """

    def __init__(self, find: Callable[[Key], Found | None], kept: int, *, times: int = 2) -> None:
        self._find, self._kept, self._times = find, kept, times
        self._found: OrderedDict[Key, Found | None] = OrderedDict()
        self._met: OrderedDict[Key, int] = OrderedDict()
        self.lock = RLock()

    def get(self, key: Key, *, at_once: bool = False) -> Found | None:
        """What is known; None where that is nothing, or the key has not come often enough. `at_once`: never mind."""
        with self.lock:
            if key not in self._found:
                met = self._met.pop(key, 0) + 1
                if met < self._times and not at_once:
                    self._met[key] = met
                    if len(self._met) > self._kept:
                        self._met.popitem(last=False)
                    return None
                self._found[key] = self._find(key)
            self._found.move_to_end(key)
            if len(self._found) > self._kept:
                self._found.popitem(last=False)
            return self._found[key]
