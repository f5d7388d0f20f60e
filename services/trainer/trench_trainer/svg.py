"""A small writer of SVG charts: same input, same bytes; its own background, so that it reads on light and dark pages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

# name: (light, dark)
COLOURS = {
    "back": ("#fcfcfb", "#1b1e23"),
    "ink": ("#2b2f36", "#e3e6ea"),
    "soft": ("#6b727c", "#9aa3ae"),
    "grid": ("#e4e5e3", "#333841"),
    "shade": ("#efefec", "#262a31"),
    "blue": ("#2f6db5", "#79abee"),
    "red": ("#c4492f", "#f28b71"),
    "green": ("#3a8a63", "#70c79d"),
}
FONT = "ui-sans-serif, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"


def _n(v: float) -> str:
    return f"{v:.2f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class Scale:
    """Maps a domain onto pixels, linearly or by logarithm; values beyond the domain sit on its ends."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, v: float) -> float:
        """The pixel of a value."""
        v = min(max(v, self.low), self.high)
        low, high = self.low, self.high
        if self.log:
            low, high, v = math.log(low), math.log(high), math.log(v)
        return self.start + (v - low) / (high - low) * (self.end - self.start)


class Canvas:
    """Shapes in the order in which they are drawn."""

    def __init__(self, width: int, height: int, title: str, about: str):
        self._size = (width, height)
        self._about = (title, about)
        self._parts: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = "grid", width: float = 1, dash: str = "") -> None:
        """A straight line."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" class="s-{colour}" stroke-width="{_n(width)}"{dashed}/>'
        )

    def rect(self, x: float, y: float, width: float, height: float, colour: str, opacity: float = 1) -> None:
        """A filled rectangle."""
        self._parts.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(max(width, 0))}" height="{_n(max(height, 0))}" class="f-{colour}"'
            f' fill-opacity="{_n(opacity)}"/>'
        )

    def path(self, points: Sequence[tuple[float, float]], colour: str, width: float = 2, dash: str = "") -> None:
        """Joined lines."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<polyline points="{self._points(points)}" class="s-{colour}" fill="none" stroke-width="{_n(width)}"'
            f' stroke-linejoin="round"{dashed}/>'
        )

    def area(self, points: Sequence[tuple[float, float]], colour: str, opacity: float) -> None:
        """A filled outline."""
        self._parts.append(f'<polygon points="{self._points(points)}" class="f-{colour}" fill-opacity="{_n(opacity)}"/>')

    def dot(self, x: float, y: float, radius: float, colour: str, *, hollow: bool = False) -> None:
        """A filled or hollow circle."""
        look = f'class="s-{colour} f-back" stroke-width="1.8"' if hollow else f'class="f-{colour}"'
        self._parts.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" {look}/>')

    def text(
        self, x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, colour: str = "ink", turned: bool = False,
        bold: bool = False,
    ) -> None:  # fmt: skip
        """One line of text; turned reads upwards."""
        turn = f' transform="rotate(-90 {_n(x)} {_n(y)})"' if turned else ""
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}" font-size="{size}" text-anchor="{anchor}" class="f-{colour}"{weight}{turn}>'
            f"{escape(text)}</text>"
        )

    def document(self) -> str:
        """The SVG file."""
        width, height = self._size
        title, about = self._about

        def theme(i: int) -> str:
            return "".join(f".f-{k}{{fill:{c[i]}}}.s-{k}{{stroke:{c[i]}}}" for k, c in COLOURS.items())

        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            f' role="img" aria-label={quoteattr(title)} font-family={quoteattr(FONT)}>\n'
            f"<title>{escape(title)}</title>\n<desc>{escape(about)}</desc>\n"
            f"<style>{theme(0)}@media (prefers-color-scheme:dark){{{theme(1)}}}</style>\n"
            f'<rect width="{width}" height="{height}" rx="6" class="f-back"/>\n'
        )
        return head + "\n".join(self._parts) + "\n</svg>\n"

    @staticmethod
    def _points(points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
