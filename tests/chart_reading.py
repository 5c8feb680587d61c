"""Reading a figure: its texts and lines, and whether texts overlap, are cut off or too faint."""

import itertools
from collections import Counter

import numpy as np
from contrast import contrast
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.text import Annotation, Text


def texts(figure: Figure) -> list[str]:
    """Every non-empty text in a figure."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def heights(figure: Figure, panel: int, colour: str) -> list[list[float]]:
    """The y values of one colour's lines in one panel, except for label leaders, repeats and knees."""
    return [
        list(line.get_ydata())
        for line in figure.axes[panel].lines
        if line.get_color() == colour and line.get_clip_on() and line.get_gid() is None
    ]


def arrows(figure: Figure, panel: int) -> int:
    """How many lower bounds are marked in one panel."""
    notes = figure.axes[panel].findobj(Annotation)
    return sum(isinstance(note.arrow_patch, FancyArrowPatch) for note in notes)


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts that overlap in the drawn figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [
        (text.get_text(), text.get_window_extent(canvas.get_renderer()))
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible()
    ]
    return [(a, b) for (a, one), (b, other) in itertools.combinations(boxes, 2) if one.overlaps(other)]


def cut_off(figure: Figure) -> list[str]:
    """Texts that extend beyond the edge of the figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    found = []
    for text in figure.findobj(Text):
        box = text.get_window_extent(canvas.get_renderer())
        if text.get_text().strip() and (min(box.x0, box.y0) < 0 or box.x1 > width or box.y1 > height):
            found.append(text.get_text())
    return found


def faint(figure: Figure) -> list[tuple[str, str, str]]:
    """Texts with too little contrast: each with its colour, and the one that most of it is written on."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    written = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    boxes = [text.get_window_extent(canvas.get_renderer()).extents.round().astype(int) for text in written]
    for text in written:
        text.set_visible(False)
    canvas.draw()
    behind = np.asarray(canvas.buffer_rgba())[::-1, :, :3]
    found = []
    for text, (left, bottom, right, top) in zip(written, boxes, strict=True):
        text.set_visible(True)
        pixels = behind[max(0, bottom) : top, max(0, left) : right].reshape(-1, 3)
        for most, _ in Counter(map(tuple, (pixels / 255).tolist())).most_common(1):
            colour, paper = to_hex(text.get_color()), to_hex(most)
            if contrast(colour, paper) < 4.5:
                found.append((text.get_text(), colour, paper))
    return found
