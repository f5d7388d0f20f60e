"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from typing import TextIO


class Progress:
    """Reports phases and steps within a phase; safe to step from several threads."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False):
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._tty = self._stream.isatty()
        self._lock = threading.Lock()
        self._begin = time.monotonic()
        self._phase = ""
        self._total = 0
        self._done = 0
        self._phase_begin = self._begin

    def note(self, text: str) -> None:
        """Prints one line with the seconds since the start."""
        if not self._quiet:
            self._clear()
            print(f"[{time.monotonic() - self._begin:6.1f}s] {text}", file=self._stream, flush=True)

    def phase(self, name: str, total: int) -> None:
        """Begins a phase of total steps."""
        with self._lock:
            self._phase, self._total, self._done = name, total, 0
            self._phase_begin = time.monotonic()
            self._draw()

    def step(self) -> None:
        """Counts one step; the last one of a phase prints its line."""
        with self._lock:
            self._done += 1
            if self._done < self._total:
                self._draw()
                return
            spent = time.monotonic() - self._phase_begin
        self.note(f"{self._phase}: {self._total} done in {spent:.1f} s")

    def _draw(self) -> None:
        if self._quiet or not self._tty or not self._total:
            return
        spent = time.monotonic() - self._phase_begin
        left = f", {spent / self._done * (self._total - self._done):.0f} s left" if self._done else ""
        width = 24
        bar = "#" * (width * self._done // self._total)
        print(f"\r\x1b[K{self._phase} [{bar:<{width}}] {self._done}/{self._total}{left}", end="", file=self._stream)
        self._stream.flush()

    def _clear(self) -> None:
        if self._tty:
            print("\r\x1b[K", end="", file=self._stream)
