"""Histograms of a report."""
from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from mmpartref.doctor.part_counts import BINS_PER_OCTAVE, PartCounts
from mmpartref.files.atomic_write import atomic_write
from mmpartref.visualization.fonts import drawable, set_fonts

# M. Okabe and K. Ito, "Color Universal Design" (2008).
COLOURS = {'train': '#0072B2', 'val': '#E69F00', 'test': '#009E73'}
MAX_CATEGORIES = 40
# Images with more parts share the last bar.
MAX_PARTS = 20
NAME_WIDTH = 32
DPI = 120


def draw_histograms(counts: Mapping[str, PartCounts], min_pixels: int, path: str | Path) -> None:
    """Write a PNG of mask areas, parts per image and annotations per category, all by split.

    Args:
        min_pixels: of a part that is not near-empty; drawn as a line.
    """
    names = most_frequent(counts)
    figure = Figure((12, max(6.0, 2 + 0.2 * len(names))), layout=ConstrainedLayoutEngine(h_pad=0.1, w_pad=0.1))
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2)
    draw_areas(figure.add_subplot(grid[0, 0]), counts, min_pixels)
    draw_parts_per_image(figure.add_subplot(grid[1, 0]), counts)
    categories = figure.add_subplot(grid[:, 1])
    draw_categories(categories, counts, names)
    handles, labels = categories.get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=len(labels) or 1, frameon=False)
    set_fonts(figure)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=DPI, format='png')


def most_frequent(counts: Mapping[str, PartCounts]) -> list[str]:
    """Return the names of the most frequent categories, in the order of the json where that is all."""
    names = list(dict.fromkeys(name for count in counts.values() for name in count.categories))
    if len(names) > MAX_CATEGORIES:
        names.sort(key=lambda name: -sum(count.categories[name] for count in counts.values()))
    return names[:MAX_CATEGORIES]


def draw_areas(axes: Axes, counts: Mapping[str, PartCounts], min_pixels: int) -> None:
    """Draw the mask areas as shares, so that small splits are visible next to large ones."""
    bins = sorted({bin_ for count in counts.values() for bin_ in count.areas}) or [0]
    edges = [2 ** (bin_ / BINS_PER_OCTAVE) for bin_ in range(bins[0], bins[-1] + 2)]
    for split, count in counts.items():
        total = max(1, count.areas.total())
        shares = [100 * count.areas[bin_] / total for bin_ in range(bins[0], bins[-1] + 1)]
        axes.stairs(shares, edges, color=COLOURS[split], linewidth=1.5)
    axes.axvline(min_pixels, color='black', linestyle=':', linewidth=1)
    axes.annotate(f' {min_pixels} px', (min_pixels, 1), xycoords=('data', 'axes fraction'), va='top', fontsize='small')
    axes.set_xscale('log')
    axes.set_ylim(bottom=0)
    _label(axes, 'Mask area', 'pixels', "share of the split's masks (%)")


def draw_parts_per_image(axes: Axes, counts: Mapping[str, PartCounts]) -> None:
    """Draw the number of masks per image, as shares."""
    width = 0.8 / max(1, len(counts))
    last = min(MAX_PARTS, max((parts for count in counts.values() for parts in count.parts_per_image), default=0))
    for number, (split, count) in enumerate(counts.items()):
        total = max(1, count.parts_per_image.total())
        shares = [100 * count.parts_per_image[parts] / total for parts in range(last)]
        shares.append(100 * sum(images for parts, images in count.parts_per_image.items() if parts >= last) / total)
        axes.bar([parts - 0.4 + (number + 0.5) * width for parts in range(last + 1)], shares, width,
                 color=COLOURS[split])
    ticks = range(0, last + 1, 1 if last <= 10 else 2)
    capped = any(parts > last for count in counts.values() for parts in count.parts_per_image)
    axes.set_xticks(ticks, [f'{parts}+' if parts == last and capped else str(parts) for parts in ticks])
    _label(axes, 'Parts per image', 'masks', "share of the split's images (%)")


def draw_categories(axes: Axes, counts: Mapping[str, PartCounts], names: list[str]) -> None:
    """Draw the number of annotations per category as dots, the first category on top.

    The axis is logarithmic from 1 on and linear below, to include 0. A name with characters that no installed font has
    is '#' and its row in the report, counted from 1.
    """
    for number, (split, count) in enumerate(counts.items()):
        # Shifted by split, so that dots of equal numbers stay visible.
        places = [place + 0.22 * (number - (len(counts) - 1) / 2) for place in range(len(names))]
        axes.plot([count.categories[name] for name in names], places, 'o', color=COLOURS[split], label=split,
                  markersize=5, clip_on=False)
    total = len({name for count in counts.values() for name in count.categories})
    labels = [_short(drawable(name, f'#{row}')) for row, name in enumerate(names, 1)]
    axes.set_yticks(range(len(names)), labels, fontsize='small')
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xscale('symlog', linthresh=1)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter('{x:,.0f}')
    axes.grid(axis='y', alpha=0.3)
    title = 'Annotations per category' + (f'\n({len(names)} most frequent of {total})' if len(names) < total else '')
    _label(axes, title, 'annotations', '')


def _short(name: str) -> str:
    """Shorten a name, escape formulas, and replace characters that cannot be drawn."""
    name = name.encode('utf-8', 'backslashreplace').decode('utf-8')
    return (name if len(name) <= NAME_WIDTH else f'{name[:NAME_WIDTH]}...').replace('$', r'\$')


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(axis='x' if not y else 'y', alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
