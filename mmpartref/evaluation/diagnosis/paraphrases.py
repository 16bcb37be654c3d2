"""Sensitivity to the wording: the same parts under several templates of the expression.

Each dump has the same refs under one template. With IoU_rt for ref r under template t::

    spread      mean over r of max_t IoU_rt - min_t IoU_rt
    std         standard deviation over t of mIoU_t, sqrt(mean_t (mIoU_t - mean)^2): of these templates, not an estimate
                for others
    flipped     share of refs that pass P@0.5 under some templates and not under others
    agreement   IoU of the masks of two templates with one another, mean over r and pairs of templates; 1 where both are
                empty. Masks can agree and be wrong

Expressions of parts that are not in the image are ignored.
"""
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from typing import Any

from mmpartref.argument_checks import check_sequence, check_switch
from mmpartref.errors import InputError
from mmpartref.evaluation.diagnosis.pixel_breakdown import overlap_of
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.match_dumps import check_same_refs, truth_by_ref
from mmpartref.evaluation.dumps.predictions import Prediction
from mmpartref.evaluation.scoring.iou_metrics import TABLE_THRESHOLD, Row, mean
from mmpartref.evaluation.scoring.score_dump import score_dump
from mmpartref.tables import Column, Table, percent, percent_columns, to_text

# How many refs of the greatest spread are listed.
MAX_WORST = 5


@dataclass(frozen=True)
class ParaphraseDump:
    """A dump and the path of its file, which is its name."""
    file: str
    dump: PredictionDump

    def predictions(self) -> dict[str, Prediction]:
        """Return the predictions of present parts by ``ref_id``."""
        return {each.ref_id: each for image in self.dump.images for each in image.expressions if each.absent is None}

    def rows(self) -> dict[str, Row]:
        """Return their scores by ``ref_id``."""
        return {row.ref_id: row for row in score_dump(self.dump)}


def check_paraphrases(dumps: Sequence[ParaphraseDump]) -> None:
    """Check that all dumps have the same refs in different words.

    Raises:
        InputTypeError: ``dumps`` are something else.
        ValueError: fewer than two dumps; other refs or another truth; or two dumps whose expressions are all equal.
    """
    if len(check_sequence(dumps, 'dumps', 'ParaphraseDump objects', ParaphraseDump)) < 2:
        raise InputError('paraphrases need at least two dumps; write one per template with tools/test.py --dump')
    truths = [truth_by_ref(each.dump, each.file) for each in dumps]
    for truth, each in zip(truths[1:], dumps[1:], strict=True):
        check_same_refs(truths[0], truth, dumps[0].file, each.file)
    words = [{ref_id: each.expression for ref_id, each in dump.predictions().items()} for dump in dumps]
    for first, second in combinations(range(len(dumps)), 2):
        if words[first] == words[second]:
            raise InputError(f'all expressions of {dumps[first].file} and {dumps[second].file} are the same; write '
                             'each dump with another template, see docs/diagnosis.md')


def paraphrase_metrics(dumps: Sequence[ParaphraseDump], *, strict: bool = True) -> dict[str, Any]:
    """Return the metrics of the module's docstring, fractions between 0 and 1, ready for JSON.

    ``dumps`` has each file with one expression as an example (of the first ref by name) and its mIoU, ``pairs`` both
    files and their agreement, ``worst`` the refs of the greatest spread. Raises as ``check_paraphrases``.
    """
    strict = check_switch(strict, 'strict')
    check_paraphrases(dumps)
    scored = [each.rows() for each in dumps]
    refs = sorted(scored[0])
    ious = {ref_id: [rows[ref_id].score.overlap.iou for rows in scored] for ref_id in refs}
    passed = [{rows[ref_id].score.overlap.reaches(TABLE_THRESHOLD, strict=strict) for rows in scored}
              for ref_id in refs]
    means = [mean([ious[ref_id][number] for ref_id in refs]) for number in range(len(dumps))]
    centre = mean(means)
    spreads = {ref_id: max(values) - min(values) for ref_id, values in ious.items()}
    predictions = [each.predictions() for each in dumps]
    pairs: list[dict[str, Any]] = []
    for first, second in combinations(range(len(dumps)), 2):
        between = [overlap_of(predictions[first][ref_id].pred, predictions[second][ref_id].pred).iou
                   for ref_id in refs]
        pairs.append({'first': dumps[first].file, 'second': dumps[second].file, 'agreement': mean(between)})
    return {
        'refs': len(refs),
        'dumps': [{'file': dump.file, 'example': rows[refs[0]].expression, 'mIoU': value}
                  for dump, rows, value in zip(dumps, scored, means, strict=True)],
        'mIoU_std': sqrt(mean([(value - centre)**2 for value in means])),
        'spread': mean(list(spreads.values())),
        'flipped': sum(len(each) == 2 for each in passed) / len(refs),
        'agreement': mean([pair['agreement'] for pair in pairs]),
        'pairs': pairs,
        'worst': [{'ref_id': ref_id, 'spread': spreads[ref_id],
                   'iou': {rows[ref_id].expression: rows[ref_id].score.overlap.iou for rows in scored}}
                  for ref_id in sorted(refs, key=lambda ref_id: (-spreads[ref_id], ref_id))[:MAX_WORST]],
    }


def format_paraphrases(metrics: dict[str, Any]) -> str:
    """Return the metrics as text tables, in percent."""
    numbers = {each['file']: number for number, each in enumerate(metrics['dumps'], 1)}
    dumps = Table(f"paraphrases: {metrics['refs']} refs under {len(numbers)} templates",
                  [Column('dump'), Column('e.g.'), *percent_columns('mIoU')],
                  [[f"{numbers[each['file']]} {each['file']}", f"'{each['example']}'", each['mIoU']]
                   for each in metrics['dumps']])
    totals = Table('', [Column(''), *percent_columns('')], [
        ['standard deviation of mIoU over the templates', metrics['mIoU_std']],
        ['IoU of a ref, greatest minus least, mean', metrics['spread']],
        ['refs that pass P@0.5 under some templates only', metrics['flipped']],
        ['IoU between the masks of two templates, mean', metrics['agreement']],
    ])
    pairs = Table('', [Column('masks of dumps'), *percent_columns('IoU')],
                  [[f"{numbers[pair['first']]} and {numbers[pair['second']]}", pair['agreement']]
                   for pair in metrics['pairs']])
    worst = Table('', [Column('greatest spread'), *percent_columns('spread'), Column('IoU by expression')],
                  [[each['ref_id'], each['spread'],
                    ', '.join(f"'{words}' {percent(iou)}" for words, iou in each['iou'].items())]
                   for each in metrics['worst']])
    return '\n'.join(map(to_text, (dumps, totals, pairs, worst)))
