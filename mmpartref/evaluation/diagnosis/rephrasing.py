"""The same parts asked for in other words: how much the wording moves the masks.

Each dump holds one wording (one template) of the same refs. With IoU_rt for ref r under wording t::

    spread      mean over r of max_t IoU_rt - min_t IoU_rt
    std         standard deviation over t of mIoU_t, sqrt(mean_t (mIoU_t - mean)^2): over the wordings at hand, not an
                estimate for others
    flipped     share of refs that pass P@0.5 in some wordings and not in others
    agreement   IoU of the masks of two wordings with one another, mean over r and pairs of wordings; 1 where both are
                empty. Masks can agree and be wrong

Expressions of parts that are not there are left out.
"""
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from typing import Any

from mmpartref.errors import InputError
from mmpartref.evaluation.comparison.compare_dumps import check_same, truth_by_ref
from mmpartref.evaluation.diagnosis.pixel_breakdown import overlap_of
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.predictions import Prediction
from mmpartref.evaluation.scoring.iou_metrics import TABLE_THRESHOLD, Row, align, mean, percent
from mmpartref.evaluation.scoring.score_dump import score_dump

# How many refs with the greatest spread are named.
WORST = 5


@dataclass(frozen=True)
class Wording:
    """One dump.

    Attributes:
        file: its path, by which it is called.
        dump: its content.
    """
    file: str
    dump: PredictionDump

    def predictions(self) -> dict[str, Prediction]:
        """Return predictions by ref_id, without those of parts that are not there."""
        return {each.ref_id: each for photo in self.dump.photos for each in photo.expressions if each.absent is None}

    def rows(self) -> dict[str, Row]:
        """Return their scores by ref_id."""
        return {row.ref_id: row for row in score_dump(self.dump)}


def check_wordings(wordings: Sequence[Wording]) -> None:
    """Refuse dumps that are not the same refs in other words.

    Raises:
        ValueError: fewer than two; other refs or another truth; or two of them ask every ref in the same words.
    """
    if len(wordings) < 2:
        raise InputError('rephrasing compares at least two dumps; write one per template with tools/test.py --dump')
    truths = [truth_by_ref(each.dump, each.file) for each in wordings]
    for truth, each in zip(truths[1:], wordings[1:], strict=True):
        check_same(truths[0], truth, wordings[0].file, each.file)
    words = [{ref_id: each.expression for ref_id, each in wording.predictions().items()} for wording in wordings]
    for first, second in combinations(range(len(wordings)), 2):
        if words[first] == words[second]:
            raise InputError(f'{wordings[first].file} and {wordings[second].file} ask for every ref in the same words; '
                             'write each dump with a template of its own, see docs/diagnosis.md')


def rephrasing_figures(wordings: Sequence[Wording], *, strict: bool = True) -> dict[str, Any]:
    """Return the figures of the module's docstring, fractions between 0 and 1, ready for JSON.

    ``wordings`` are shown with one expression each as an example, that of the first ref by name; ``pairs`` with both
    files and their agreement; ``worst`` are the refs with the greatest spread.

    Raises:
        ValueError: see ``check_wordings``.
    """
    check_wordings(wordings)
    scored = [each.rows() for each in wordings]
    refs = sorted(scored[0])
    ious = {ref_id: [rows[ref_id].score.overlap.iou for rows in scored] for ref_id in refs}
    passed = [{rows[ref_id].score.overlap.reaches(TABLE_THRESHOLD, strict=strict) for rows in scored}
              for ref_id in refs]
    means = [mean([ious[ref_id][number] for ref_id in refs]) for number in range(len(wordings))]
    centre = mean(means)
    spreads = {ref_id: max(values) - min(values) for ref_id, values in ious.items()}
    pairs = agreements(wordings, refs)
    return {
        'refs': len(refs),
        'wordings': [{'file': wording.file, 'example': rows[refs[0]].expression, 'mIoU': value}
                     for wording, rows, value in zip(wordings, scored, means, strict=True)],
        'mIoU_std': sqrt(mean([(value - centre)**2 for value in means])),
        'spread': mean(list(spreads.values())),
        'flipped': sum(len(each) == 2 for each in passed) / len(refs),
        'agreement': mean([pair['agreement'] for pair in pairs]),
        'pairs': pairs,
        'worst': [{'ref_id': ref_id, 'spread': spreads[ref_id],
                   'iou': {rows[ref_id].expression: rows[ref_id].score.overlap.iou for rows in scored}}
                  for ref_id in sorted(refs, key=lambda ref_id: (-spreads[ref_id], ref_id))[:WORST]],
    }


def agreements(wordings: Sequence[Wording], refs: Sequence[str]) -> list[dict[str, Any]]:
    """Return the mean IoU between the masks of each pair of wordings."""
    found = []
    for first, second in combinations(wordings, 2):
        one, other = first.predictions(), second.predictions()
        ious = [overlap_of(one[ref_id].pred, other[ref_id].pred).iou for ref_id in refs]
        found.append({'first': first.file, 'second': second.file, 'agreement': mean(ious)})
    return found


def format_rephrasing(figures: dict[str, Any]) -> str:
    """Return the figures to read, in percent."""
    wordings = figures['wordings']
    lines = [[f"{number} {each['file']}", f"'{each['example']}'", percent(each['mIoU'])]
             for number, each in enumerate(wordings, 1)]
    numbers = {each['file']: number for number, each in enumerate(wordings, 1)}
    pairs = [[f"{numbers[pair['first']]} and {numbers[pair['second']]}", percent(pair['agreement'])]
             for pair in figures['pairs']]
    worst = [[each['ref_id'], percent(each['spread']),
              ', '.join(f"'{words}' {percent(iou)}" for words, iou in each['iou'].items())]
             for each in figures['worst']]
    return '\n'.join([
        f"rephrasing: {figures['refs']} refs in {len(wordings)} wordings",
        align([['wording', 'e.g.', 'mIoU'], *lines]),
        align([['standard deviation of mIoU over the wordings', percent(figures['mIoU_std'])],
               ['IoU of a ref, greatest minus least, mean', percent(figures['spread'])],
               ['refs that pass P@0.5 in some wordings only', percent(figures['flipped'])],
               ['IoU between the masks of two wordings, mean', percent(figures['agreement'])]]),
        align([['masks of wordings', 'IoU'], *pairs]),
        align([['greatest spread', 'spread', 'IoU by wording'], *worst]),
    ])
