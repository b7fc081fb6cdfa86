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
    """

    def __init__(self, find: Callable[[Key], Found | None], kept: int) -> None:
        self._find, self._kept = find, kept
        self._found: OrderedDict[Key, Found | None] = OrderedDict()
        self._met: OrderedDict[Key, None] = OrderedDict()
        self.lock = RLock()

    def get(self, key: Key, *, at_once: bool = False) -> Found | None:
        """What is known; it is found out the second time that a key comes, or at once."""
        with self.lock:
            if key not in self._found:
                if not at_once and key not in self._met:
                    self._met[key] = None
                    self._limit(self._met)
                    return None
                self._found[key] = self._find(key)
            self._found.move_to_end(key)
            self._limit(self._found)
            return self._found[key]

    def _limit(self, kept: OrderedDict[Key, Found | None] | OrderedDict[Key, None]) -> None:
        while len(kept) > self._kept:
            kept.popitem(last=False)
