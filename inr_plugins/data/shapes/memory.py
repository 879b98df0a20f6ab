"""What many shapes keep in memory between them: the structures that were used last, up to a bound."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Recent:
    """Things that take long to make and much room, of which those are kept that were asked for last.

    Several threads may ask at once; they may make the same thing twice, and get one of the two.

    Args:
        most: bytes that all kept things may take together. The last one is kept, however large.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T], *, size: int) -> T:
        """The thing of that name, made if it is not there.

        Args:
            key: its name.
            make: makes it.
            size: bytes that it takes, more or less.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
        made = make()
        with self._lock:
            self._kept[key] = made, size
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and self.size > self._most:
                self._kept.popitem(last=False)
        return made

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return sum(size for _, size in self._kept.values())
