"""Expressions for parts that are not in the photo they are asked of."""
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mmpartref.datasets.coco.read_coco import CocoParts
from mmpartref.datasets.coco.records import PartName, Photo, plain
from mmpartref.datasets.referring.expressions import Wordings
from mmpartref.errors import InputError
from mmpartref.seeding import EpochDraws

KINDS = ('impossible', 'other', 'unannotated')
# The part may be there after all; nobody drew it.
NOISY_KINDS = ('unannotated', )
TRUSTED_KINDS = tuple(kind for kind in KINDS if kind not in NOISY_KINDS)
# What an entry of the data set keeps the plan of its photo under, until it is read.
PLAN = 'absent'
ClassName = Callable[[Photo, PartName], str | None]


class Candidate(NamedTuple):
    """A part that may be asked about although it is not there."""
    name: PartName
    category_id: int | None
    class_name: str | None
    expressions: list[str]
    weight: int


class AbsentPartSampler(EpochDraws):
    """Draws, for a photo, parts that are not in it.

    Three kinds, of which each photo's draws take turns:

    ``'impossible'``
        an object of the photo and a part that such objects never have: "snake foot". Every part's name that the json
        has a mask of with every super-category of the photo, without the json's categories and without ``possible``,
        the combinations that exist in the world although the json has no category for them ("snake tail").
    ``'other'``
        a part of a super-category that the photo does not show: "bottle mouth" in a photo of a snake. Drawn in
        proportion to the photos of the json that show the part, and worded with one of their class names, so that the
        words alone give little away.
    ``'unannotated'``
        a part of one of the photo's super-categories that has no annotation in it. It may be hidden, out of the frame,
        or visible and forgotten: these are noisy, reported apart and left out of training unless asked for.

    In the photo is what the json annotates there, what was left out of it (crowd, zero area) included. A candidate that
    any template would word like a part in the photo is none.

    Each draw depends on ``seed``, the epoch and the photo's id alone, through a hash that is the same everywhere: not
    on the number of workers, the order, the batch or the subset. How many a photo gets does not depend on the epoch.
    ``set_epoch`` changes the draws; nothing calls it for an evaluation, which is therefore always the same.

    Args:
        number: absent parts per photo; the fraction of a number like 0.5 is the share of photos that get one more.
        kinds: some of ``KINDS``.
        seed: one for all ranks.
        possible: further combinations, ``(super-category, part)`` each, that are not impossible.

    Raises:
        ValueError: ``number`` is not positive, or there is no such kind.
    """

    def __init__(self, *, number: float = 1, kinds: Sequence[str] = TRUSTED_KINDS, seed: int = 0,
                 possible: Sequence[Sequence[str]] = ()) -> None:
        if isinstance(kinds, str) or not kinds or not set(kinds) <= set(KINDS):
            raise InputError(f'absent.kinds={kinds!r} should be a list of some of {KINDS}')
        if not 0 < number < math.inf:
            raise InputError(f'absent.number={number} should be positive: absent parts per photo')
        if any(isinstance(pair, str) or len(pair) != 2 for pair in possible):
            raise InputError(f"absent.possible={possible!r} should be pairs like ('snake', 'tail')")
        self.number = number
        self.kinds = tuple(kind for kind in KINDS if kind in kinds)
        self.seed = seed
        self.possible = {PartName(*map(plain, pair)) for pair in possible}
        self._names: Mapping[int, PartName] = {}
        self._wordings = Wordings(())
        self._frequency: Mapping[int, int] = {}
        self._parts: list[str] = []
        self._classes: dict[str, list[str]] = {}
        EpochDraws.__init__(self)

    def learn(self, parts: CocoParts, names: Mapping[int, PartName], wordings: Wordings, class_name: ClassName,
              possible: Iterable[tuple[str, str]] = ()) -> None:
        """Take the json's vocabulary.

        Args:
            parts: the json.
            names: what its categories mean, by id.
            wordings: renders expressions as the data set does.
            class_name: tells the class of the object that a part of a photo belongs to.
            possible: combinations without a category that exist all the same, beside those of the constructor.
        """
        self._names = names
        self._wordings = wordings
        self._frequency = Counter(key for photo in parts.photos for key in {part.category_id for part in photo.parts})
        self._classes = {}
        for photo in parts.photos:
            for owner in {names[part.category_id].super_category for part in photo.parts}:
                found = class_name(photo, PartName(owner, ''))
                if found is not None:
                    self._classes.setdefault(owner, []).append(found)
        self._parts = sorted({names[key].part for key in self._frequency} - {''})
        self.possible |= {PartName(*pair) for pair in possible}

    def plan(self, photo: Photo, class_name: ClassName, super_category: str | None = None) -> dict[str, Any]:
        """Return what has to be known of a photo to draw for it.

        Args:
            photo: with its parts.
            class_name: as for ``learn``.
            super_category: one that the photo is known to show, annotated or not.

        Returns:
            ``owners``, the super-categories that the photo shows, with their class names; ``taken``, the ids of the
            categories that it shows; ``slots``, the numbers of the draws: fewer than asked for where there are not
            enough candidates.
        """
        taken = sorted({part.category_id for part in photo.parts} | photo.left_out)
        shown = dict.fromkeys([*(self._names[key].super_category for key in taken), super_category or ''])
        owners = {owner: class_name(photo, PartName(owner, '')) for owner in shown if owner}
        plan: dict[str, Any] = {'owners': owners, 'taken': taken}
        wanted = int(self.number) + (self._lot(f'{photo.img_id}:one more', epoch=0) < self.number % 1)
        found = sum(len(pool) for pool in self.candidates(photo.img_id, plan).values())
        return {**plan, 'slots': list(range(min(wanted, found)))}

    def fill(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Replace an entry's plan by the refs drawn in this epoch, behind its own."""
        plan = entry.pop(PLAN, None)
        if plan is not None and plan['slots']:
            drawn = self.draw(entry['img_id'], plan)
            entry['refs'] = [*entry['refs'], *(drawn[slot] for slot in plan['slots'])]
        return entry

    def draw(self, img_id: int | str, plan: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the refs of a photo in this epoch, up to the highest of the plan's slots.

        A ref has the data set's keys, no ``ann_ids`` and ``rles``, a ``category_id`` of None where no category is meant
        ('impossible'), and ``absent``, its kind.
        """
        epoch = self.epoch
        pools = {kind: self._ranked(pool, f'{img_id}:{kind}', epoch)
                 for kind, pool in self.candidates(img_id, plan).items()}
        order = sorted(pools, key=lambda kind: self._lot(f'{img_id}:{kind}', epoch))
        depth = max(len(pool) for pool in pools.values())
        turns = [(kind, pools[kind][place]) for place in range(depth) for kind in order if place < len(pools[kind])]
        return [self._ref(img_id, kind, each) for kind, each in turns[:max(plan['slots']) + 1]]

    def candidates(self, img_id: int | str, plan: Mapping[str, Any]) -> dict[str, list[Candidate]]:
        """Return the kinds asked for, each with what may be drawn."""
        classes = dict(plan['owners'])
        for owner, known in self._classes.items():
            if owner not in classes:
                # Not another one in each epoch: wordings decide what is a candidate, and so how many there are.
                classes[owner] = known[int(self._lot(f'{img_id}:{owner}', epoch=0) * len(known))]

        def worded(name: PartName) -> list[str]:
            return self._wordings(name, classes.get(name.super_category))

        # Wordings of what is there, then of each candidate, so that no two ask with the same words.
        spoken = {text for key in plan['taken'] for text in worded(self._names[key])}
        pools: dict[str, list[Candidate]] = {}
        for kind in self.kinds:
            pools[kind] = []
            for name, category_id in self._parts_of_kind(kind, plan['owners']):
                expressions = worded(name)
                if spoken.isdisjoint(expressions):
                    weight = 1 if category_id is None else self._frequency[category_id]
                    pools[kind].append(
                        Candidate(name, category_id, classes.get(name.super_category), expressions, weight))
                    spoken.update(expressions)
        return pools

    def _parts_of_kind(self, kind: str, owners: Collection[str]) -> list[tuple[PartName, int | None]]:
        """Return names and category ids, those in the photo included."""
        if kind == 'impossible':
            known = {*self._names.values(), *self.possible}
            speakable = {name.super_category for name in self._names.values()}
            return [(PartName(owner, part), None) for owner in owners if owner in speakable for part in self._parts
                    if PartName(owner, part) not in known]
        inside = kind == 'unannotated'
        # What no photo of the json shows is never drawn: words that are always wrong would be known by themselves.
        return [(name, key) for key, name in self._names.items()
                if name.super_category and (name.super_category in owners) is inside and self._frequency.get(key)]

    def _lot(self, what: str, epoch: int) -> float:
        """Return a number between 0 and 1, the same on every machine and with every version of numpy."""
        digest = hashlib.blake2b(f'{self.seed}:{epoch}:{what}'.encode(), digest_size=8).digest()
        return (int.from_bytes(digest, 'big') + 0.5) / 2**64

    def _ranked(self, pool: Sequence[Candidate], where: str, epoch: int) -> list[Candidate]:
        """Return candidates in the order in which they are drawn without replacement, by their weights.

        Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006: the smallest of exponential
        lots comes first.
        """
        def place(each: Candidate) -> float:
            return -math.log(self._lot(f'{where}:{" ".join(each.name)}', epoch)) / each.weight

        return sorted(pool, key=place)

    @staticmethod
    def _ref(img_id: int | str, kind: str, each: Candidate) -> dict[str, Any]:
        return {
            'ref_id': f'{img_id}:absent:{kind}:{" ".join(each.name)}',
            'category_id': each.category_id,
            'part': each.name.part,
            'super_category': each.name.super_category,
            'class_name': each.class_name,
            'expressions': each.expressions,
            'ann_ids': [],
            'rles': [],
            'absent': kind
        }

    def describe(self) -> str:
        """Return how the parts are drawn, in a few words."""
        return f'number={self.number}, kinds={list(self.kinds)}, seed={self.seed}'

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.describe()})'
