"""Plots of a comparison.

Drawn with matplotlib's figure objects on an Agg canvas, which need no display and leave the state of pyplot alone.
"""
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmpartref.argument_checks import check_path
from mmpartref.evaluation.comparison.bootstrap import CONFIDENCE, PRECISIONS, Resamples, check_resamples
from mmpartref.evaluation.comparison.compare_dumps import Comparison, check_comparison
from mmpartref.evaluation.scoring.grouped_metrics import largest_groups
from mmpartref.evaluation.scoring.iou_metrics import MEDIUM, SMALL, mean
from mmpartref.files.atomic_write import atomic_write
from mmpartref.visualization.fonts import drawable, set_fonts

# M. Okabe and K. Ito, "Color Universal Design" (2008), without the yellow, which is hard to see on white.
PALETTE = ('#0072B2', '#E69F00', '#009E73', '#D55E00', '#CC79A7', '#56B4E9', '#000000')
MARKERS = 'osD^vPX'
# Used in turn each time that the palette is exhausted.
HATCHES = ('', '///', 'xxx', '...')
DASHES = ('-', '--', ':', '-.')
MAX_GROUPS = 12
NAME_WIDTH = 32
DPI = 150


def draw_plots(comparison: Comparison, resamples: Resamples, folder: str | Path) -> list[Path]:
    """Write each plot as PNG and SVG into a folder; returns the files.

    A name with characters that no installed font has is '#' and its row in the table, counted from 1.

    Raises:
        InputTypeError: an argument is of another type.
        InputError: ``resamples`` are of other models.
        FileInTheWayError, FileWriteError: a file cannot be written.
    """
    check_comparison(comparison)
    check_resamples(resamples, len(comparison.entries))
    target = Path(check_path(folder, 'folder'))
    figures = {
        'miou': draw_miou(comparison, resamples),
        'precision': draw_precision(comparison),
        'miou_by_size': draw_sizes(comparison),
        'miou_by_super_category': draw_super_categories(comparison),
    }
    files = []
    for name, figure in figures.items():
        set_fonts(figure)
        for suffix in ('png', 'svg'):
            files.append(target / f'{name}.{suffix}')
            # Without the date the file is reproducible.
            with atomic_write(files[-1]) as temporary:
                figure.savefig(temporary, dpi=DPI, format=suffix, metadata={'Date': None} if suffix == 'svg' else None)
    return files


def draw_miou(comparison: Comparison, resamples: Resamples) -> Figure:
    """Draw each model's mIoU and its interval, first model on top."""
    count = len(comparison.entries)
    figure, axes = _new_figure(7, 1.3 + 0.5 * count)
    for number, entry in enumerate(comparison.entries):
        value = 100 * entry.summary['mIoU']
        low, high = (100 * bound for bound in resamples.interval(number, 'mIoU'))
        # An interval can exclude the value, but errorbar rejects negative lengths.
        axes.errorbar([value], [number], xerr=[[max(0, value - low)], [max(0, high - value)]], capsize=4, markersize=7,
                      marker=_cycled(MARKERS, number), color=_cycled(PALETTE, number))
    _label_rows(axes, _drawable_names(comparison))
    axes.set_xlabel('mIoU (%)')
    axes.grid(axis='x', alpha=0.3)
    axes.set_title(f'mIoU with {CONFIDENCE:.0%} intervals, {resamples.images} images')
    return figure


def draw_precision(comparison: Comparison) -> Figure:
    """Draw Precision@X against X."""
    figure, axes = _new_figure(7, 4.5)
    thresholds = [float(value) for value in PRECISIONS.values()]
    for number, entry in enumerate(comparison.entries):
        axes.plot(thresholds, [100 * entry.summary[name] for name in PRECISIONS], marker=_cycled(MARKERS, number),
                  color=_cycled(PALETTE, number), linestyle=_cycled_by_palette(DASHES, number))
    axes.set_xticks(thresholds)
    axes.set_ylim(bottom=0)
    axes.set_xlabel('X')
    axes.set_ylabel(f"share of expressions with IoU {'>' if comparison.strict else '>='} X (%)")
    axes.grid(alpha=0.3)
    axes.set_title('Precision@X')
    _legend(figure, comparison, list(axes.lines))
    return figure


def draw_sizes(comparison: Comparison) -> Figure:
    """Draw mIoU by mask size, one bar per model."""
    names, counts, values = group_miou(comparison, 'mask size')
    figure, axes = _new_figure(max(7, 1.5 + 0.35 * len(names) * len(comparison.entries)), 4.5)
    bars = _draw_bars(axes.bar, values)
    axes.set_xticks(range(len(names)), [f'{name}\nn = {count}' for name, count in zip(names, counts, strict=True)])
    axes.set_ylabel('mIoU (%)')
    axes.set_ylim(0, 100)
    axes.grid(axis='y', alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_title(f'mIoU by mask size (borders {SMALL} and {MEDIUM} pixels)')
    _legend(figure, comparison, bars)
    return figure


def draw_super_categories(comparison: Comparison) -> Figure:
    """Draw mIoU by super-category, one bar per model, the first group on top."""
    names, counts, values = group_miou(comparison, 'super-category')
    total = len(comparison.entries[0].split('super-category'))
    figure, axes = _new_figure(7, 1.8 + len(names) * max(0.35, 0.16 * len(values)))
    bars = _draw_bars(axes.barh, values)
    _label_rows(axes, [f'{name} ({count})' for name, count in zip(names, counts, strict=True)])
    axes.set_xlabel('mIoU (%)')
    axes.set_xlim(0, 100)
    axes.grid(axis='x', alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_title('mIoU by super-category (expressions)'
                   + (f'\nthe {len(names)} largest of {total}' if len(names) < total else ''))
    _legend(figure, comparison, bars)
    return figure


def group_miou(comparison: Comparison, breakdown: str) -> tuple[list[str], list[int], list[list[float]]]:
    """Return the largest groups' names, their numbers of expressions and, per model, their mIoU in percent."""
    split = [entry.split(breakdown) for entry in comparison.entries]
    sizes = {name: runs[0] for name, runs in split[0].items()}
    names = largest_groups(sizes, MAX_GROUPS)
    values = [[100 * mean([row.score.overlap.iou for rows in groups[name] for row in rows]) for name in names]
              for groups in split]
    labels = {name: drawable(name, f'#{row}') for row, name in enumerate(split[0], 1)}
    return [labels[name] for name in names], [len(sizes[name]) for name in names], values


def _new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure((width, height), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[['top', 'right']].set_visible(False)
    return figure, axes


def _draw_bars(draw: Callable, values: Sequence[Sequence[float]]) -> list:
    """Draw (models, groups) as one bar per model next to one another in each group."""
    width = 0.8 / len(values)
    return [draw([group - 0.4 + (number + 0.5) * width for group in range(len(lengths))], lengths, width,
                 color=_cycled(PALETTE, number), hatch=_cycled_by_palette(HATCHES, number), edgecolor='white')
            for number, lengths in enumerate(values)]


def _cycled(choices: Sequence[str], number: int) -> str:
    return choices[number % len(choices)]


def _cycled_by_palette(choices: Sequence[str], number: int) -> str:
    return choices[number // len(PALETTE) % len(choices)]


def _drawable_names(comparison: Comparison) -> list[str]:
    return [drawable(entry.name, f'#{row}') for row, entry in enumerate(comparison.entries, 1)]


def _label(name: str) -> str:
    """Wrap a name and escape what matplotlib reads as a formula ('$') or as a hidden label (leading '_')."""
    wrapped = '\n'.join(textwrap.wrap(name, NAME_WIDTH)).replace('$', r'\$')
    return f' {wrapped}' if wrapped.startswith('_') else wrapped


def _label_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [_label(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)


def _legend(figure: Figure, comparison: Comparison, handles: Sequence) -> None:
    """Put the legend below the axes, where there is no data."""
    figure.legend(handles, [_label(name) for name in _drawable_names(comparison)], loc='outside lower center',
                  ncols=min(3, len(handles)), frameon=False, fontsize='small')
