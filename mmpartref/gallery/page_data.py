"""Data of a gallery's pages as lists and dicts."""
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpartref.evaluation.diagnosis.failure_kinds import FAILURE_KINDS
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.scoring.iou_metrics import SIZES, cumulative_iou, describe_header, mean
from mmpartref.gallery import thumbnails
from mmpartref.gallery.entries import METRICS, Entry, ImageEntries, all_entries
from mmpartref.gallery.pair_comparison import PairComparison, summarise_pairs
from mmpartref.tables import percent
from mmpartref.text import counted

COLOURS = {'truth': thumbnails.TRUTH, 'first': thumbnails.PREDICTION, 'second': thumbnails.OTHER,
           'both': thumbnails.BOTH_RIGHT, 'neither': thumbnails.BOTH_WRONG}
IN_PERCENT = 'IoU, score and presence are in percent.'
HEAT_MAP_HINT = 'write it with tools/test.py CONFIG CHECKPOINT --dump FILE --candidates and make the gallery again.'
# Samples of matplotlib's viridis at 0, 1/8, ... 1, RGB.
HEAT_COLOURS = ((68, 1, 84), (71, 45, 123), (59, 82, 139), (44, 114, 142), (33, 145, 140), (40, 174, 128),
                (94, 201, 98), (173, 220, 48), (253, 231, 37))
# The table of ``failure_kinds`` in sentences.
KIND_MEANINGS = {
    'good': 'IoU over 50, or an empty mask for a part that is not in the image.',
    'empty': 'The part is in the image, but no pixel is predicted.',
    'whole object': 'The mask fits the whole object better than any single part.',
    'sibling part': 'Less than half of the part is found, and most wrong pixels are on other parts of the object.',
    'other instance': 'Most wrong pixels are on other instances of the same part.',
    'over-segmented': 'At least half of the part is found, but more than half of the mask is outside it.',
    'under-segmented': 'Less than half of the part is found, and at least half of the mask is on it.',
    'imprecise': 'Half of the part is found and half of the mask is on it, but the IoU is at most 50.',
    'mislocalised': 'Less than half of the part is found, and the wrong pixels are mostly background.',
    'false positive': 'The part is not in the image, but pixels are predicted.',
}


@dataclass(frozen=True)
class Site:
    """Data shared by all pages.

    Attributes:
        title: of the gallery's page.
        name: of the model.
        dump: of the model.
        everything: all expressions; the summary is over these.
        shown: the images and expressions that have a card.
        comparisons: the models to compare with.
        notes: sentences on expressions without a card.
    """
    title: str
    name: str
    dump: PredictionDump
    everything: Sequence[ImageEntries]
    shown: Sequence[ImageEntries]
    comparisons: Sequence[PairComparison]
    notes: Sequence[str]


def comparison_name(number: int) -> str:
    """Return the file name of a comparison, without suffix, by its index."""
    return f'compare_{number + 1}'


def thumbnail_file(image: int, item: int) -> str:
    """Return the file name of a thumbnail, by index of the image and of its expression, as in ``list.js``."""
    return f'{image}_{item}.jpg'


def page_names(site: Site) -> list[tuple[str, str]]:
    """Return file and title of each page."""
    return [('index.html', site.title)] + [(f'{comparison_name(number)}.html', f'{site.name} and {each.name}')
                                           for number, each in enumerate(site.comparisons)]


def notes(everything: Sequence[ImageEntries], shown: Sequence[ImageEntries],
          skipped: Sequence[ImageEntries]) -> list[str]:
    """Return sentences on pairs of empty masks, on expressions that were not drawn and on missing images."""
    total, num_shown, num_skipped = (len(all_entries(images)) for images in (everything, shown, skipped))
    sentences = []
    both_empty = sum(entry.present and not entry.score.overlap.union for entry in all_entries(everything))
    if both_empty:
        sentences.append('If prediction and truth are both empty, the IoU counts as 1: '
                         f'{counted(both_empty, "expression")}.')
    if num_shown + num_skipped < total:
        sentences.append(f'The cards show {num_shown} of {total} expressions, drawn at random; the numbers above are '
                         'for all.')
    if skipped:
        sentences.append(f'Without a card because the image is missing: {counted(num_skipped, "expression")} of '
                         f'{counted(len(skipped), "image")}.')
    return sentences


def image_masks(each: ImageEntries) -> list[dict[str, Any]]:
    """Return the masks of an image's expressions: counts of compressed COCO RLEs, decoded by ``masks.js``."""
    found = []
    for entry in each.entries:
        masks: dict[str, Any] = {'truth': entry.truth_rle()['counts'], 'pred': entry.prediction.pred['counts']}
        if entry.prediction.candidates is not None:
            masks['heat'] = [[round(mask.score, 6), mask.mask['counts']] for mask in entry.prediction.candidates]
        found.append(masks)
    return found


def comparison_masks(each: ImageEntries, comparison: PairComparison) -> list[dict[str, Any] | None]:
    """Return the second model's masks for the same expressions, None for expressions that are not in its dump."""
    others = [comparison.others.get(entry.key) for entry in each.entries]
    return [None if other is None else {'pred': other.prediction.pred['counts']} for other in others]


def describe_heat(dump: PredictionDump) -> dict[str, Any]:
    """Return how the page draws and explains heat maps.

    Returns:
        ``kind``: 'levels' (all expressions have the same scores: nested masks of a probability map), 'instances'
        (of a detector) or 'none'; ``levels``: the scores of 'levels', ascending; ``note``: the meaning of the colours;
        ``missing``: the text for expressions without a heat map; ``colours``: from score 0 to score 1.
    """
    candidates = [each.candidates for image in dump.images for each in image.expressions]
    scores = [sorted(candidate.score for candidate in each) for each in candidates if each is not None]
    lacking = len(candidates) - len(scores)
    levels = scores[0] if scores and all(each == scores[0] for each in scores) else []
    missing = (f'No heat map: the dump lacks the candidates of {lacking} of {len(candidates)} expressions; '
               f'{HEAT_MAP_HINT}')
    if not scores:
        kind, note, levels, missing = 'none', '', [], f'No heat map: this dump has masks only; {HEAT_MAP_HINT}'
    elif 'resolver' in dump.header or len(levels) < 2:
        kind, levels = 'instances', []
        note = ('Heat map: the highest score of the instances that cover a pixel, among all that the detector returned '
                'for the category of the expression. Grey: no instance.')
    else:
        kind = 'levels'
        listed = [f'{100 * level:g}' for level in levels]
        note = (f'Heat map: the probability in {len(levels)} steps. A pixel has the colour of the highest of the '
                f'levels {", ".join(listed)} percent that its probability exceeds. Grey: {listed[0]} or less.')
    return {'kind': kind, 'note': note, 'missing': missing if lacking else '', 'levels': levels,
            'colours': HEAT_COLOURS}


def common_content(site: Site, title: str) -> dict[str, Any]:
    """Return the content that all pages have: names, colours, images."""
    return {
        'title': title,
        'pages': page_names(site),
        'notes': [IN_PERCENT, *site.notes],
        'colours': COLOURS,
        'alpha': {'mask': thumbnails.ALPHA, 'difference': thumbnails.DIFFERENCE_ALPHA},
        'kinds': {kind: KIND_MEANINGS[kind] for kind in FAILURE_KINDS},
        'sizes': SIZES,
        'metrics': METRICS,
        'images': [[Path(each.image.img_path).name, *each.image.ori_shape, each.image.img_id] for each in site.shown],
    }


def gallery_page(site: Site) -> dict[str, Any]:
    """Return the content of the page of one model."""
    entries = all_entries(site.everything)
    overlaps = [entry.score.overlap for entry in entries if entry.present]
    absent = [entry for entry in entries if not entry.present]
    empty = sum(not entry.score.pred_area for entry in absent)
    return {
        **common_content(site, site.title),
        'mode': 'single',
        'thumbs': 'thumbs',
        'names': [site.name],
        'models': [describe_header(site.dump.header)],
        'summary': [['mean IoU', percent(mean([each.iou for each in overlaps]))],
                    ['cumulative IoU', percent(cumulative_iou(overlaps))],
                    ['expressions', str(len(overlaps))],
                    ['images', str(len(site.everything))],
                    *([['absent parts with an empty mask', f'{empty} of {len(absent)}']] if absent else [])],
        'heat': describe_heat(site.dump),
        'entries': [[number, item, entry.query(), entry.metrics()] for number, each in enumerate(site.shown)
                    for item, entry in enumerate(each.entries)],
    }


def comparison_page(site: Site, number: int) -> dict[str, Any]:
    """Return the content of the page of a comparison."""
    comparison = site.comparisons[number]
    summary = summarise_pairs(site.everything, comparison)
    first, second = summary['mIoU']
    content = common_content(site, page_names(site)[number + 1][1])
    content['notes'].append(f'Differences in IoU are first minus second: {site.name} minus {comparison.name}.')
    unpaired = len(all_entries(site.everything)) - len(comparison.others)
    if comparison.reworded:
        content['notes'].append(f'{comparison.name} has different expressions, paired by ref_id: '
                                f'{counted(comparison.reworded, "expression")}.')
    if unpaired:
        content['notes'].append(f'Without a card because they are not in the dump of {comparison.name}: '
                                f'{counted(unpaired, "absent part")}.')
    return {
        **content,
        'mode': 'comparison',
        'thumbs': comparison_name(number),
        'names': [site.name, comparison.name],
        'models': [describe_header(site.dump.header), describe_header(comparison.header)],
        'summary': [[f'mean IoU, {site.name}', percent(first)],
                    [f'mean IoU, {comparison.name}', percent(second)],
                    [f'difference, {site.name} minus {comparison.name}', f'{100 * (first - second):+.2f}'],
                    [f'{site.name} better', str(summary['first'])],
                    ['equal', str(summary['equal'])],
                    [f'{comparison.name} better', str(summary['second'])],
                    ['expressions', str(summary['expressions'])]],
        'entries': [comparison_row(place, item, entry, comparison.others[entry.key])
                    for place, each in enumerate(site.shown)
                    for item, entry in enumerate(each.entries) if entry.key in comparison.others],
    }


def comparison_row(image: int, item: int, entry: Entry, other: Entry) -> list[Any]:
    """Return an expression of a comparison; ``other_text`` is the second model's expression if it differs."""
    query = entry.query()
    if other.prediction.expression != entry.prediction.expression:
        query['other_text'] = other.prediction.expression
    return [image, item, query, entry.metrics(), other.metrics()]
