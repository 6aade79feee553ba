"""Loss curves as a picture, in plain SVG: a few polylines need no plotting library."""

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

from codemem.training.trainer import StepReport
from codemem.training.written import KIND

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 360, 48, 36, 16, 110
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")  # told apart by colour-blind readers (Okabe and Ito)
SMOOTHING = 0.9
LEFT_OUT = frozenset(("norm", "total"))


def smoothed(values: Sequence[float]) -> list[float]:
    """Exponential moving average, corrected for its start."""
    mean, weight, out = 0.0, 0.0, []
    for value in values:
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        out.append(mean / weight)
    return out


def draw(steps: Sequence[StepReport], path: Path) -> None:
    """Writes every loss over the steps, smoothed, with the phases marked. Raises `ValueError` without steps."""
    if not steps:
        raise ValueError("a run without a step has no curve")
    series: dict[str, list[tuple[int, float]]] = {}
    for report in steps:
        for name, value in report.losses.items():
            if name not in LEFT_OUT and not name.startswith(KIND):
                series.setdefault(name, []).append((report.step, value))
    lines = {
        name: list(zip((s for s, _ in points), smoothed([v for _, v in points]), strict=True))
        for name, points in series.items()
    }
    highest = max(value for points in lines.values() for _, value in points) or 1.0
    first, last = steps[0].step, max(steps[-1].step, steps[0].step + 1)

    def x(step: float) -> float:
        return LEFT + (step - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / highest * (HEIGHT - BOTTOM - TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12" role="img" aria-label="Losses by step">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for tick in range(5):
        value = highest * tick / 4
        parts.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>')
        step = first + (last - first) * tick / 4
        parts.append(f'<text x="{x(step):.1f}" y="{HEIGHT - 14}" text-anchor="middle">{step:.0f}</text>')
    for before, after in pairwise(steps):
        if after.phase != before.phase:
            parts.append(
                f'<path d="M{x(after.step):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#888" stroke-dasharray="4 3"/>'
            )
    for index, (name, points) in enumerate(lines.items()):
        colour = COLOURS[index % len(COLOURS)]
        spots = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in points)
        parts.append(f'<polyline points="{spots}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        end = points[-1]
        parts.append(
            f'<text x="{WIDTH - RIGHT + 6}" y="{TOP + 14 + 16 * index}" fill="{colour}">'
            f"{escape(name)} {end[1]:.2f}</text>"
        )
    path.write_text("\n".join([*parts, "</svg>\n"]), encoding="utf-8")
