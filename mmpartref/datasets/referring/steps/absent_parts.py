"""Entry step that adds refs of parts that are not in the image."""
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from mmpartref.argument_checks import NUMBERS, check_choice, check_integer, check_sequence
from mmpartref.datasets.coco.records import Image, PartName, plain
from mmpartref.datasets.coco.validate import CocoParts
from mmpartref.datasets.referring.names import Names
from mmpartref.datasets.referring.steps.entry_step import EntryStep, check_templated, make_ref
from mmpartref.errors import InputError
from mmpartref.registry import ENTRY_STEPS
from mmpartref.seeding import seeded_uniform

ABSENT_KINDS = ('impossible', 'other', 'unannotated')
# The part may be visible after all, without an annotation.
NOISY_KINDS = ('unannotated', )
TRUSTED_KINDS = tuple(kind for kind in ABSENT_KINDS if kind not in NOISY_KINDS)


class Candidate(NamedTuple):
    """A part that may be drawn for an image although it is absent from it."""
    name: PartName
    category_id: int | None
    class_name: str | None
    expressions: list[str]
    weight: int


@ENTRY_STEPS.register_module()
class AbsentParts(EntryStep):
    """Add refs of parts that are not in the image, drawn anew in each epoch of training.

    The draws of an image alternate between these kinds (``ref['absent']``):

    ``'impossible'``
        an object of the image and a part that such objects never have: "snake foot". All part names with a mask in the
        json are combined with all super-categories of the image, except the json's categories and ``possible``,
        combinations that exist although the json has no category for them ("snake tail").
    ``'other'``
        a part of a super-category that is not in the image: "bottle mouth" for an image of a snake. Drawn in proportion
        to the number of images with the part, with a class name of one of them, so that the words alone give little
        away.
    ``'unannotated'``
        a part of a super-category of the image that has no annotation in it. It may be hidden, outside the frame, or
        visible and not annotated: this kind is noisy, reported separately and not used unless it is in ``kinds``.

    Annotations that were dropped (crowd, empty mask) count as present. A candidate is skipped if one of its expressions
    is one of a part in the image.

    A draw depends on ``seed``, the epoch and the image id alone: not on the number of workers, the order, the batch or
    the subset. The number of draws of an image does not depend on the epoch. In evaluation the epoch stays 0.

    Args:
        number: absent parts per image; 0.5 gives one to half of the images.
        kinds: some of ``ABSENT_KINDS``.
        seed: the same on all ranks.
        possible: further combinations (super-category, part) that are not impossible.

    Raises:
        InputTypeError: ``kinds``, ``possible`` or ``seed`` is of another type.
        InputError: ``number`` is not positive, or a kind does not exist; in ``prepare``: the json brings its own
            expressions.
    """

    def __init__(self, number: float = 1, kinds: Sequence[str] = TRUSTED_KINDS, seed: int = 0,
                 possible: Sequence[Sequence[str]] = ()) -> None:
        kinds = check_sequence(kinds, 'absent.kinds', f'some of {ABSENT_KINDS}')
        for place, kind in enumerate(kinds):
            check_choice(kind, f'absent.kinds[{place}]', ABSENT_KINDS)
        if not kinds:
            raise InputError(f'absent.kinds=[] is empty; choose some of {ABSENT_KINDS}')
        if isinstance(number, bool) or not isinstance(number, NUMBERS) or not 0 < number < math.inf:
            raise InputError(f'absent.number={number!r} should be positive: absent parts per image')
        possible = check_sequence(possible, 'absent.possible', "pairs like ('snake', 'tail')")
        if any(not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(isinstance(each, str) for each in pair)
               for pair in possible):
            raise InputError(f"absent.possible={possible!r} should be pairs like ('snake', 'tail')")
        self.number = number
        self.kinds = tuple(kind for kind in ABSENT_KINDS if kind in kinds)
        self.seed = check_integer(seed, 'absent.seed', 0)
        self.possible = {PartName(*map(plain, pair)) for pair in possible}

    def prepare(self, document: CocoParts, names: Names) -> None:
        """Count the parts and classes of the json, which must not have ``referring`` (InputError), for ``plan``."""
        check_templated(document, 'AbsentParts')
        self.names = names
        self.known_possible = self.possible | {PartName(*pair) for pair in names.possible}
        self._frequency = Counter(key for image in document.images
                                  for key in {annotation.category_id for annotation in image.annotations})
        self._classes: dict[str, list[str]] = {}
        for image in document.images:
            for owner in {names[annotation.category_id].super_category for annotation in image.annotations}:
                found = names.class_name(image, PartName(owner, ''))
                if found is not None:
                    self._classes.setdefault(owner, []).append(found)
        self._parts = sorted({names[key].part for key in self._frequency} - {''})

    def plan(self, image: Image, refs: list[dict[str, Any]]) -> dict[str, Any] | None:
        """Return ``owners``, ``present`` and ``slots``.

        ``owners`` are the super-categories in the image with their class names, ``present`` the ids of its categories,
        ``slots`` the numbers of the draws, fewer than ``number`` where there are not enough candidates.
        """
        del refs
        present = sorted({annotation.category_id for annotation in image.annotations} | image.dropped)
        shown = dict.fromkeys([*(self.names[key].super_category for key in present),
                               self.names.super_category(image) or ''])
        owners = {owner: self.names.class_name(image, PartName(owner, '')) for owner in shown if owner}
        plan: dict[str, Any] = {'owners': owners, 'present': present}
        wanted = int(self.number) + (seeded_uniform(self.seed, 0, image.img_id, 'one more') < self.number % 1)
        found = sum(len(pool) for pool in self.candidates(image.img_id, plan).values())
        slots = list(range(min(wanted, found)))
        return {**plan, 'slots': slots} if slots else None

    def draw(self, entry: dict[str, Any], plan: dict[str, Any], epoch: int) -> None:
        """Append the refs of this epoch.

        A ref has empty ``ann_ids`` and ``rles``, its kind as ``absent``, and ``category_id`` None where the json has no
        such category ('impossible').
        """
        img_id = entry['img_id']
        pools = {kind: self._ranked(pool, f'{img_id}:{kind}', epoch)
                 for kind, pool in self.candidates(img_id, plan).items()}
        order = sorted(pools, key=lambda kind: seeded_uniform(self.seed, epoch, img_id, kind))
        depth = max(len(pool) for pool in pools.values())
        turns = [(kind, pools[kind][place]) for place in range(depth) for kind in order if place < len(pools[kind])]
        for kind, each in (turns[slot] for slot in plan['slots']):
            entry['refs'] = [*entry['refs'], make_ref(
                f'{img_id}:absent:{kind}:{" ".join(each.name)}', each.category_id, each.name, each.class_name,
                each.expressions, (), absent=kind)]

    def candidates(self, img_id: int | str, plan: Mapping[str, Any]) -> dict[str, list[Candidate]]:
        """Return what may be drawn for an image, by kind."""
        classes = dict(plan['owners'])
        for owner, known in self._classes.items():
            if owner not in classes:
                # The same in every epoch: expressions decide what is a candidate, and so how many there are.
                classes[owner] = known[int(seeded_uniform(self.seed, 0, img_id, owner) * len(known))]

        def expressions_of(name: PartName) -> list[str]:
            return self.names.wordings(name, classes.get(name.super_category))

        # Expressions of what is present, then of each candidate, so that no two candidates share one.
        taken = {text for key in plan['present'] for text in expressions_of(self.names[key])}
        pools: dict[str, list[Candidate]] = {}
        for kind in self.kinds:
            pools[kind] = []
            for name, category_id in self._parts_of_kind(kind, plan['owners']):
                expressions = expressions_of(name)
                if taken.isdisjoint(expressions):
                    weight = 1 if category_id is None else self._frequency[category_id]
                    pools[kind].append(
                        Candidate(name, category_id, classes.get(name.super_category), expressions, weight))
                    taken.update(expressions)
        return pools

    def _parts_of_kind(self, kind: str, owners: Collection[str]) -> list[tuple[PartName, int | None]]:
        """Return names and category ids, those in the image included."""
        categories = self.names.categories
        if kind == 'impossible':
            known = {*categories.values(), *self.known_possible}
            speakable = {name.super_category for name in categories.values()}
            return [(PartName(owner, part), None) for owner in owners if owner in speakable for part in self._parts
                    if PartName(owner, part) not in known]
        inside = kind == 'unannotated'
        # Parts without an image in the json are never drawn: a model would learn that these words are always absent.
        return [(name, key) for key, name in categories.items()
                if name.super_category and (name.super_category in owners) is inside and self._frequency.get(key)]

    def _ranked(self, pool: Sequence[Candidate], where: str, epoch: int) -> list[Candidate]:
        """Return candidates in the order of a weighted draw without replacement.

        Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006: the smallest of exponential
        draws comes first.
        """
        def place(each: Candidate) -> float:
            return -math.log(seeded_uniform(self.seed, epoch, where, ' '.join(each.name))) / each.weight

        return sorted(pool, key=place)

    def finish(self) -> str:
        """Release the dataset, whose methods ``names`` has; returns how the parts are drawn."""
        self.names = Names(self.names.categories, wordings=self.names.wordings)
        return f'absent       number={self.number}, kinds={list(self.kinds)}, seed={self.seed}'

    def __repr__(self) -> str:
        return f'{type(self).__name__}(number={self.number}, kinds={list(self.kinds)}, seed={self.seed})'
