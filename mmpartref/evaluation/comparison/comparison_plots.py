"""A comparison as pictures.

Drawn with matplotlib's figure objects on an Agg canvas: no display, and no state of pyplot that a caller might share.
"""
import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmpartref.evaluation.comparison.bootstrap import CONFIDENCE, THRESHOLDS, Resamples
from mmpartref.evaluation.comparison.compare_dumps import Comparison
from mmpartref.evaluation.scoring.grouped_metrics import BREAKDOWNS, MEDIUM, SMALL, commonest
from mmpartref.evaluation.scoring.iou_metrics import mean

# M. Okabe and K. Ito, "Color Universal Design" (2008), without the yellow that vanishes on white.
PALETTE = ('#0072B2', '#E69F00', '#009E73', '#D55E00', '#CC79A7', '#56B4E9', '#000000')
MARKERS = 'osD^vPX'
# Once around the palette, hatches and dashes tell the models apart.
HATCHES = ('', '///', 'xxx', '...')
DASHES = ('-', '--', ':', '-.')
MOST_GROUPS = 12
NAME_WIDTH = 32
DPI = 150


def draw_plots(comparison: Comparison, resamples: Resamples, folder: str | Path) -> list[Path]:
    """Write each picture as PNG and SVG into an existing folder; returns the files."""
    figures = {
        'miou': draw_miou(comparison, resamples),
        'precision': draw_precision(comparison),
        'miou_by_size': draw_sizes(comparison),
        'miou_by_super_category': draw_super_categories(comparison),
    }
    files = []
    for name, figure in figures.items():
        for suffix in ('png', 'svg'):
            files.append(Path(folder) / f'{name}.{suffix}')
            # Without the date the same figures give the same picture.
            figure.savefig(files[-1], dpi=DPI, metadata={'Date': None} if suffix == 'svg' else None)
    return files


def draw_miou(comparison: Comparison, resamples: Resamples) -> Figure:
    """Draw each model's mIoU and its interval, first model on top."""
    count = len(comparison.entries)
    figure, axes = _new_figure(7, 1.3 + 0.5 * count)
    for number, entry in enumerate(comparison.entries):
        value = 100 * entry.summary['mIoU']
        low, high = (100 * bound for bound in resamples.interval(number, 'mIoU'))
        # The interval need not lie around the figure, but a bar must not have a negative length.
        axes.errorbar([value], [number], xerr=[[max(0, value - low)], [max(0, high - value)]], capsize=4, markersize=7,
                      marker=_of(MARKERS, number), color=_of(PALETTE, number))
    _name_lines(axes, [entry.name for entry in comparison.entries])
    axes.set_xlabel('mIoU (%)')
    axes.grid(axis='x', alpha=0.3)
    axes.set_title(f'mIoU with {CONFIDENCE:.0%} intervals, {resamples.photos} photos')
    return figure


def draw_precision(comparison: Comparison) -> Figure:
    """Draw Precision@X against X."""
    figure, axes = _new_figure(7, 4.5)
    thresholds = [float(value) for value in THRESHOLDS.values()]
    for number, entry in enumerate(comparison.entries):
        axes.plot(thresholds, [100 * entry.summary[name] for name in THRESHOLDS], marker=_of(MARKERS, number),
                  color=_of(PALETTE, number), linestyle=_again(DASHES, number))
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
    width = 0.8 / len(values)
    bars = [axes.bar([group - 0.4 + (number + 0.5) * width for group in range(len(names))], heights, width,
                     color=_of(PALETTE, number), hatch=_again(HATCHES, number), edgecolor='white')
            for number, heights in enumerate(values)]
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
    total = len(BREAKDOWNS['super-category'](comparison.entries[0].rows))
    figure, axes = _new_figure(7, 1.8 + len(names) * max(0.35, 0.16 * len(values)))
    height = 0.8 / len(values)
    bars = [axes.barh([group - 0.4 + (number + 0.5) * height for group in range(len(names))], lengths, height,
                      color=_of(PALETTE, number), hatch=_again(HATCHES, number), edgecolor='white')
            for number, lengths in enumerate(values)]
    _name_lines(axes, [f'{name} ({count})' for name, count in zip(names, counts, strict=True)])
    axes.set_xlabel('mIoU (%)')
    axes.set_xlim(0, 100)
    axes.grid(axis='x', alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_title('mIoU by super-category (expressions)'
                   + (f'\nthe {len(names)} commonest of {total}' if len(names) < total else ''))
    _legend(figure, comparison, bars)
    return figure


def group_miou(comparison: Comparison, breakdown: str) -> tuple[list[str], list[int], list[list[float]]]:
    """Return the commonest groups' names, their numbers of expressions and per model their mIoU in percent."""
    split = [BREAKDOWNS[breakdown](entry.rows) for entry in comparison.entries]
    names = commonest(split[0], MOST_GROUPS)
    values = [[100 * mean([row.score.overlap.iou for row in groups[name]]) for name in names] for groups in split]
    return names, [len(split[0][name]) for name in names], values


def _new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure((width, height), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[['top', 'right']].set_visible(False)
    return figure, axes


def _of(choices: Sequence[str], number: int) -> str:
    return choices[number % len(choices)]


def _again(choices: Sequence[str], number: int) -> str:
    return choices[number // len(PALETTE) % len(choices)]


def _label(name: str) -> str:
    """Wrap a name; matplotlib must not read formulas into it, nor hide it for a leading '_'."""
    wrapped = '\n'.join(textwrap.wrap(name, NAME_WIDTH)).replace('$', r'\$')
    return f' {wrapped}' if wrapped.startswith('_') else wrapped


def _name_lines(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [_label(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)


def _legend(figure: Figure, comparison: Comparison, handles: Sequence) -> None:
    """Put the legend below the axes, where there is no data."""
    figure.legend(handles, [_label(entry.name) for entry in comparison.entries], loc='outside lower center',
                  ncols=min(3, len(handles)), frameon=False, fontsize='small')
