"""A line plot as SVG, with a logarithmic x axis and y from 0 to 1: enough for a report, without a plotting library."""

import math
from collections.abc import Mapping, Sequence
from html import escape

_COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#8e6c8a", "#b08900", "#4a4e69")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _RIGHT, _TOP = 640, 360, 56, 44, 200, 28


def line_plot(lines: Mapping[str, Sequence[tuple[float, float]]], *, x_label: str, y_label: str) -> str:
    """`lines`: name -> points (x above 0, y in 0..1)."""
    xs = sorted({x for points in lines.values() for x, _ in points}) or [1.0]
    low, high = math.log10(xs[0]), math.log10(xs[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        share = (math.log10(x) - low) / (high - low) if high > low else 0.5
        across = _LEFT + share * (_WIDTH - _LEFT - _RIGHT)
        return across, _HEIGHT - _BOTTOM - y * (_HEIGHT - _BOTTOM - _TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-size="12">',
        "<style>text { font-family: sans-serif }</style>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        *(_grid_line(place(xs[0], step / 5)[1], step / 5) for step in range(6)),
        *(_tick(place(x, 0), x) for x in xs),
        f'<text x="{_LEFT}" y="{_HEIGHT - 8}">{escape(x_label)}</text>',
        f'<text x="4" y="12">{escape(y_label)}</text>',
    ]
    for number, (name, points) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        placed = [place(*point) for point in sorted(points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
        height = _TOP + 16 * (number + 1)
        parts.append(f'<text x="{_WIDTH - _RIGHT + 16}" y="{height}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _grid_line(height: float, value: float) -> str:
    line = f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{height:.1f}" y2="{height:.1f}" stroke="#ddd"/>'
    return f'{line}<text x="{_LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{value:.1f}</text>'


def _tick(at: tuple[float, float], value: float) -> str:
    label = f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}K"
    return f'<text x="{at[0]:.1f}" y="{at[1] + 16:.1f}" text-anchor="middle">{label}</text>'
