"""One look for every picture: colours, markers, sizes, and files that come out byte for byte the same."""

from __future__ import annotations

import dataclasses
import html
import io
import re

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Okabe and Ito's palette (2008), told apart with any common colour blindness; each reader also has its own marker.
VERMILLION, BLUE, GREEN = "#D55E00", "#0072B2", "#009E73"
ORANGE, SKY, PURPLE, GREY, INK = "#E69F00", "#56B4E9", "#CC79A7", "#8A8F98", "#22262B"

RC = {
    # Text stays text in SVG: it can be searched, selected and read aloud, and is a third of the size of outlines.
    # Positions are anchored (start, middle, end), so that another sans-serif font on the reader's machine still fits.
    "svg.fonttype": "none",
    "svg.hashsalt": "glimmer",
    "pdf.fonttype": 42,  # TrueType, embedded: Type 3 looks rough on screens and some venues refuse it
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#E4E7EB",
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "text.parse_math": False,  # a dollar is a dollar: no label is written in TeX
    "path.simplify": False,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """Colour, marker and line of one series."""

    color: str
    marker: str
    line: str = "-"
    hollow: bool = False


READERS = {
    "fid": Look(color=VERMILLION, marker="^"),
    "lumen": Look(color=BLUE, marker="s"),
    "glimmer": Look(color=GREEN, marker="o"),
}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of the given inches in the house look (inside `matplotlib.rc_context(RC)`)."""
    return Figure(figsize=(width, height))


def house_look():
    """Context manager under which all drawing and saving happens."""
    return matplotlib.rc_context(RC)


def set_heading(axes: Axes, heading: str) -> None:
    """A heading above the axes, and between both a legend of what has a label."""
    handles, labels = axes.get_legend_handles_labels()
    axes.set_title(heading, loc="left", fontsize=9.5, fontweight="bold", pad=22 if handles else 8)
    if handles:
        place = {"loc": "lower left", "bbox_to_anchor": (-0.02, 0.985), "ncols": 3, "borderaxespad": 0.2}
        axes.legend(handles, labels, handlelength=1.9, columnspacing=1.1, handletextpad=0.5, **place)


def svg_text(figure: Figure, *, title: str, description: str, id_prefix: str = "") -> str:
    """The figure as SVG text with a title and description for those who do not see it; no date, no version inside.

    `id_prefix` makes ids unique where several pictures stand in one HTML page.
    """
    buffer = io.BytesIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().decode("utf-8")
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = text.replace(' target="_blank"', "")
    if id_prefix:
        text = re.sub(r'\bid="', f'id="{id_prefix}', text)
        text = re.sub(r'xlink:href="#', f'xlink:href="#{id_prefix}', text)
        text = text.replace("url(#", f"url(#{id_prefix}")
    names = (f"{id_prefix}title", f"{id_prefix}description")
    head = (
        f' role="img" aria-labelledby="{names[0]} {names[1]}">\n'
        f' <title id="{names[0]}">{html.escape(title)}</title>\n'
        f' <desc id="{names[1]}">{html.escape(description)}</desc>'
    )
    return re.sub(r"(<svg\b[^>]*)>", lambda match: match.group(1) + head, text, count=1)


def pdf_bytes(figure: Figure, *, title: str) -> bytes:
    """The figure as PDF without dates, so that the same picture gives the same bytes."""
    buffer = io.BytesIO()
    FigureCanvasPdf(figure).print_pdf(buffer, metadata={"Title": title, "CreationDate": None, "Producer": None})
    return buffer.getvalue()


def png_bytes(figure: Figure) -> bytes:
    """The figure as PNG, 150 dots an inch."""
    buffer = io.BytesIO()
    figure.set_dpi(150)
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
