"""The curve of the losses, as a picture."""

import io
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from monet_watch.engine.events import Losses

__all__ = ["plot_losses"]


def plot_losses(curve: Sequence[Losses], title: str, save_every: int, reason: str) -> bytes:
    """Return a PNG of ``curve``: total, style, content and TV loss against steps, on a log axis."""
    figure = Figure(figsize=(12, 7), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    steps = range(1, len(curve) + 1)
    axes.plot(steps, [losses.total for losses in curve], label="total")
    axes.set_yscale("log")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
