"""What the pages of a gallery are told, as plain lists and dicts."""
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpartref.evaluation.diagnosis.failure_kinds import FAILURE_KINDS
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.scoring.grouped_metrics import SIZES
from mmpartref.evaluation.scoring.iou_metrics import cumulative_iou, describe_header, mean
from mmpartref.gallery import colours
from mmpartref.gallery.entries import FIGURES, Entry, PhotoEntries, all_entries
from mmpartref.gallery.gallery_heat_maps import describe_heat
from mmpartref.gallery.pair_comparison import Versus, summarise_versus

COLOURS = {'truth': colours.TRUTH, 'first': colours.PREDICTION, 'second': colours.OTHER, 'both': colours.BOTH_RIGHT,
           'neither': colours.BOTH_WRONG}


@dataclass(frozen=True)
class Site:
    """All pages have in common.

    Attributes:
        title: of the gallery's page.
        name: of the model.
        dump: the model's.
        everything: all its expressions; the figures at the top are of these.
        shown: the photos and expressions that have a card.
        versus: the models it is compared with.
        notes: sentences that say what is not shown.
    """
    title: str
    name: str
    dump: PredictionDump
    everything: Sequence[PhotoEntries]
    shown: Sequence[PhotoEntries]
    versus: Sequence[Versus]
    notes: Sequence[str]


def versus_name(number: int) -> str:
    """Return the name of a comparison's files, counted from 0."""
    return f'compare_{number + 1}'


def thumbnail_file(photo: int, item: int) -> str:
    """Return the name of a card's picture: which photo, which of its expressions; as ``store.js`` puts it together."""
    return f'{photo}_{item}.jpg'


def page_names(site: Site) -> list[tuple[str, str]]:
    """Return file and title of each page."""
    return [('index.html', site.title)] + [(f'{versus_name(number)}.html', f'{site.name} and {each.name}')
                                           for number, each in enumerate(site.versus)]


def counted(number: int, thing: str) -> str:
    """Return '1 photo', '2 photos'."""
    return f'{number} {thing}' if number == 1 else f'{number} {thing}s'


def notes(everything: Sequence[PhotoEntries], shown: Sequence[PhotoEntries],
          skipped: Sequence[PhotoEntries]) -> list[str]:
    """Say what moves a figure or leaves out a card, so that nobody takes a part for the whole."""
    total, kept, lost = (len(all_entries(photos)) for photos in (everything, shown, skipped))
    found = []
    both_empty = sum(entry.there and not entry.score.overlap.union for entry in all_entries(everything))
    if both_empty:
        found.append('Where prediction and truth are both empty, the IoU counts 1: '
                     f'{counted(both_empty, "expression")}.')
    if kept + lost < total:
        found.append(f'The cards show {kept} of {total} expressions, drawn at random; the figures above are of all.')
    if skipped:
        found.append(f'Without a card, because the photo is missing: {counted(lost, "expression")} of '
                     f'{counted(len(skipped), "photo")}.')
    return found


def photo_masks(each: PhotoEntries) -> list[dict[str, Any]]:
    """Return the masks of a photo's expressions: counts of compressed COCO RLEs, which ``masks.js`` decodes."""
    found = []
    for entry in each.entries:
        masks: dict[str, Any] = {'truth': entry.truth_rle()['counts'], 'pred': entry.prediction.pred['counts']}
        if entry.prediction.candidates is not None:
            masks['heat'] = [[round(mask.score, 6), mask.mask['counts']] for mask in entry.prediction.candidates]
        found.append(masks)
    return found


def versus_masks(each: PhotoEntries, versus: Versus) -> list[dict[str, Any] | None]:
    """Return the second model's masks for the same expressions, None where it was not asked."""
    others = [versus.others.get(entry.key) for entry in each.entries]
    return [None if other is None else {'pred': other.prediction.pred['counts']} for other in others]


def common(site: Site, title: str) -> dict[str, Any]:
    """Return what every page is told: names, colours, photos."""
    return {
        'title': title,
        'pages': page_names(site),
        'notes': list(site.notes),
        'colours': COLOURS,
        'alpha': {'mask': colours.ALPHA, 'difference': colours.DIFFERENCE_ALPHA},
        'kinds': list(FAILURE_KINDS),
        'sizes': SIZES,
        'figures': FIGURES,
        'photos': [[Path(each.photo.img_path).name, *each.photo.ori_shape] for each in site.shown],
    }


def gallery_page(site: Site) -> dict[str, Any]:
    """Return the content of the page of one model."""
    entries = all_entries(site.everything)
    overlaps = [entry.score.overlap for entry in entries if entry.there]
    absent = [entry for entry in entries if not entry.there]
    empty = sum(not entry.score.pred_area for entry in absent)
    return {
        **common(site, site.title),
        'mode': 'single',
        'thumbs': 'thumbs',
        'names': [site.name],
        'models': [describe_header(site.dump.header)],
        'summary': [['mean IoU', f'{mean([each.iou for each in overlaps]):.4f}'],
                    ['cumulative IoU', f'{cumulative_iou(overlaps):.4f}'],
                    ['expressions', str(len(overlaps))],
                    ['photos', str(len(site.everything))],
                    *([['absent parts left empty', f'{empty} of {len(absent)}']] if absent else [])],
        'heat': describe_heat(site.dump),
        'entries': [[number, item, entry.question(), entry.figures()] for number, each in enumerate(site.shown)
                    for item, entry in enumerate(each.entries)],
    }


def versus_page(site: Site, number: int) -> dict[str, Any]:
    """Return the content of the page of a comparison."""
    versus = site.versus[number]
    summary = summarise_versus(site.everything, versus)
    told = common(site, page_names(site)[number + 1][1])
    unasked = len(all_entries(site.everything)) - len(versus.others)
    if versus.reworded:
        told['notes'].append(f'{versus.name} was asked in other words, paired by ref_id: '
                             f'{counted(versus.reworded, "expression")}.')
    if unasked:
        told['notes'].append(f'Without a card, because {versus.name} was not asked for them: '
                             f'{counted(unasked, "absent part")}.')
    return {
        **told,
        'mode': 'versus',
        'thumbs': versus_name(number),
        'names': [site.name, versus.name],
        'models': [describe_header(site.dump.header), describe_header(versus.header)],
        'summary': [[f'mean IoU, {site.name}', f"{summary['mIoU'][0]:.4f}"],
                    [f'mean IoU, {versus.name}', f"{summary['mIoU'][1]:.4f}"],
                    [f'{site.name} better', str(summary['first'])],
                    ['equal', str(summary['equal'])],
                    [f'{versus.name} better', str(summary['second'])],
                    ['expressions', str(summary['expressions'])]],
        'entries': [versus_row(place, item, entry, versus.others[entry.key]) for place, each in enumerate(site.shown)
                    for item, entry in enumerate(each.entries) if entry.key in versus.others],
    }


def versus_row(photo: int, item: int, entry: Entry, other: Entry) -> list[Any]:
    """Return an expression of a comparison; ``also``: the words the second model was asked with, if others."""
    question = entry.question()
    if other.prediction.expression != entry.prediction.expression:
        question['also'] = other.prediction.expression
    return [photo, item, question, entry.figures(), other.figures()]
