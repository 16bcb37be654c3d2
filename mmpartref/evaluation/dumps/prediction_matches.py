"""Predictions of other programs, matched with queries."""
from dataclasses import dataclass, field

from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.predictions import Candidate, Prediction
from mmpartref.evaluation.dumps.query_index import QueryIndex
from mmpartref.text import shown_name

# Names in a message.
MAX_EXAMPLES = 5


@dataclass
class Matches:
    """Predicted masks by ref_id.

    Attributes:
        masks: best first.
        extra: names of predictions of no query.
        double: names of predictions that repeat another one, and count once.
        has_scores: whether the predictions had scores.
    """
    masks: dict[str, list[Candidate]] = field(default_factory=dict)
    extra: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    has_scores: bool = True

    def add(self, refs: list[Prediction], mask: Candidate, name: str) -> None:
        """Add a mask to the refs that it is of."""
        if not refs:
            self.extra.append(name)
        if refs and all(mask in self.masks.get(each.ref_id, ()) for each in refs):
            self.double.append(name)
        for each in refs:
            masks = self.masks.setdefault(each.ref_id, [])
            if mask not in masks:
                masks.append(mask)


def check_matches(matches: Matches, index: QueryIndex, name: str, rule: str | None,
                  score_threshold: float | None) -> str:
    """Return a sentence with the number of missing, double and extra predictions, each with examples.

    Raises:
        InputError: nothing matches, or several masks are of one expression and ``rule`` is None.
    """
    refs = [each.ref_id for image in index.images.values() for each in image.expressions]
    missing = [ref_id for ref_id in refs if ref_id not in matches.masks]
    if len(missing) == len(refs):
        found = _examples('its predictions are of', matches.extra) if matches.extra else 'it has no prediction'
        raise InputError(f'no prediction of {shown_name(name)} is of one of the {len(refs):,} queries of '
                         f'{index.ann_file}: {found}, but {_examples("the queries of", missing)}; use the ids and '
                         'expressions of the json or queries')
    several = [ref_id for ref_id, masks in matches.masks.items() if len(masks) > 1]
    if several and rule is None:
        raise InputError(f'{shown_name(name)} has several masks for {len(several):,} expressions, e.g. '
                         f'{shown_name(several[0])}; choose with --rule: union (all of them) or top1 (the best)')
    if several and rule == 'top1' and not matches.has_scores:
        raise InputError(f'{shown_name(name)} has no scores by which the best of several masks is chosen; write '
                         'scores, or use --rule union')
    if score_threshold is not None and not matches.has_scores:
        raise InputError(f'{shown_name(name)} has no scores to compare with --score-threshold; remove it')
    parts = [f'{len(refs) - len(missing):,} of {len(refs):,} queries have a prediction']
    for text, names in ((' without, scored as empty masks', missing), (' double, counted once', matches.double),
                        (' of no query, ignored', matches.extra)):
        if names:
            parts.append(f'{len(names):,}{text} ({_examples("e.g.", names)})')
    return '; '.join(parts)


def _examples(start: str, names: list[str]) -> str:
    return f'{start} {"; ".join(map(shown_name, names[:MAX_EXAMPLES]))}'
