"""Figures drawn with matplotlib, an extra of the package: `pip install rollcall[plots]`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.failure import Failure


@dataclass(frozen=True, slots=True)
class Line:
    """Points of one kind, in any order."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes. `bound`: a level to be drawn across."""

    x: str
    y: str
    lines: Sequence[Line]
    bound: float | None = None
    is_log_x: bool = False
    is_log_y: bool = False


def draw(file: Path, title: str, panels: Sequence[Panel]) -> list[Path]:
    """Panels side by side, saved as PNG and as SVG; the files. Raises Failure."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(1, len(panels), figsize=(5.6 * len(panels), 4.2), squeeze=False)
    for one, panel in zip(axes[0], panels, strict=True):
        _draw_panel(one, panel)
    figure.suptitle(title)
    figure.tight_layout()
    files = [file.with_suffix(kind) for kind in (".png", ".svg")]
    for each in files:
        figure.savefig(each, dpi=120)
    pyplot.close(figure)
    return files


def _draw_panel(axes: Any, panel: Panel) -> None:
    for line in panel.lines:
        points = sorted(line.points)
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=line.name)
    if panel.bound is not None:
        axes.axhline(panel.bound, color="grey", linestyle="--", linewidth=1)
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    if panel.is_log_x:
        axes.set_xscale("log")
    if panel.is_log_y:
        axes.set_yscale("log")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise Failure("Drawing needs the extra `plots`: pip install 'rollcall[plots]'.") from error
    matplotlib.use("svg")
    from matplotlib import pyplot

    return pyplot
