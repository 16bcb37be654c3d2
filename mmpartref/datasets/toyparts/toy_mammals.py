"""ToyParts mammals, looking to the right (frame: see ``toyparts_geometry``).

As in PartImageNet a "foot" is the whole leg and a "hand" the whole arm.
"""
import numpy as np

from mmpartref.datasets.toyparts.toy_geometry import (
    FAR,
    Drawing,
    Points,
    Shape,
    blob,
    corners,
    ellipse,
    eye,
    limb,
    pick,
    uniform,
)


def quadruped(rng: np.random.Generator) -> Drawing:
    """A dog, cat or calf in profile."""
    coat = pick(rng, ('fur', 'fur', 'stripes', 'spots', 'patches'))
    leg, stout, stride = uniform(rng, 0.34, 0.41), uniform(rng, 0.16, 0.20), uniform(rng, -0.03, 0.03)
    lift, snout = uniform(rng, -0.08, 0.03), uniform(rng, 0.0, 0.05)
    shapes = []
    for instance, (x, far) in enumerate(((-0.13, True), (0.3, True), (-0.3, False), (0.13, False))):
        end, sole = x + (stride if far else -stride), leg - (0.03 if far else 0.0)
        shade = FAR if far else 1.0
        shapes += [Shape('Foot', limb([(x, 0.02), ((x + end) / 2 - 0.01, leg / 2), (end, sole)], [0.15, 0.115, 0.1]),
                         instance=instance, pattern=coat, shade=shade),
                   Shape('Foot', ellipse(end + 0.015, sole + 0.035, 0.075, 0.045), 'second', instance, shade=shade)]
    if rng.random() < 0.5:
        wag = limb([(-0.3, -0.08), (-0.43, -0.16), (-0.52, -0.3), (-0.47, -0.43 + lift)], [0.12, 0.1, 0.1, 0.08])
    else:
        wag = limb([(-0.3, -0.1), (-0.45, -0.1), (-0.53, 0.03), (-0.55, 0.17 - lift)], [0.12, 0.09, 0.09, 0.11])
    shapes += [
        Shape('Tail', wag, 'second', pattern='fur'),
        Shape('Body', limb([(0.18, -0.05), (0.3, -0.17), (0.4, -0.28 + lift)], [0.28, 0.22, 0.17]), pattern=coat),
        Shape('Body', blob((-0.37, -0.02), (-0.3, -stout), (0.0, 0.02 - stout), (0.25, -stout - 0.01), (0.37, -0.04),
                           (0.27, stout - 0.02), (0.0, stout - 0.05), (-0.28, stout - 0.02)), pattern=coat)]
    return Drawing(shapes + quadruped_head(rng, coat, 0.44, -0.36 + lift, snout))


def quadruped_head(rng: np.random.Generator, coat: str, x: float, y: float, snout: float) -> list[Shape]:
    """A head with pointed, hanging or round ears around (x, y)."""
    style = pick(rng, ('pointed', 'hanging', 'round'))
    ears: list[Points] = {
        'pointed': [corners((x - 0.13, y - 0.04), (x - 0.13, y - 0.24), (x + 0.0, y - 0.1)),
                    corners((x - 0.0, y - 0.08), (x + 0.07, y - 0.24), (x + 0.11, y - 0.05))],
        'hanging': [limb([(x - 0.06, y - 0.1), (x - 0.14, y - 0.02), (x - 0.13, y + 0.13)], [0.07, 0.1, 0.09])],
        'round': [ellipse(x - 0.1, y - 0.11, 0.07, 0.07), ellipse(x + 0.08, y - 0.11, 0.065, 0.065)]}[style]
    head = [Shape('Head', ellipse(x, y, 0.155, 0.135, 10), pattern=coat),
            Shape('Head', ellipse(x + 0.12 + snout, y + 0.045, 0.105 + snout / 2, 0.075, 8), 'light'),
            Shape('Head', ellipse(x + 0.205 + 1.5 * snout, y + 0.02, 0.032, 0.028), 'black', detail=True),
            Shape('Head', limb([(x + 0.1, y + 0.085), (x + 0.2 + snout, y + 0.075)], [0.012]), 'black', detail=True),
            *eye('Head', x + 0.045, y - 0.045, 0.036)]
    flaps = [Shape('Head', ear, 'second', shade=0.9) for ear in ears]
    return head + flaps if style == 'hanging' else flaps + head


def biped(rng: np.random.Generator) -> Drawing:
    """An upright monkey."""
    coat = pick(rng, ('fur', 'fur', 'patches'))
    arm, belly, spread = uniform(rng, -0.34, -0.12), uniform(rng, 0.17, 0.21), uniform(rng, 0.0, 0.05)
    tail = limb([(-0.08, 0.18), (-0.3, 0.32), (-0.47, 0.25), (-0.49, 0.1), (-0.4, 0.03)], [0.1, 0.09, 0.09, 0.09, 0.1])
    shapes = [Shape('Tail', tail, 'second', pattern='fur')]
    for side, instance in ((-1, 0), (1, 1)):
        end = side * (0.14 + spread)
        shapes += [Shape('Foot', limb([(side * 0.1, 0.12), (side * 0.15, 0.3), (end, 0.46)], [0.19, 0.15, 0.12]),
                         instance=instance, pattern=coat, shade=0.92),
                   Shape('Foot', ellipse(end + 0.03, 0.49, 0.105, 0.05), 'light', instance)]
        lift = arm if side < 0 else 0.12 + spread
        hand = (side * 0.36, lift)
        shapes += [Shape('Hand', limb([(side * 0.1, -0.14), (side * 0.27, -0.1 + 0.2 * lift), hand], [0.14, 0.12, 0.1]),
                         instance=instance, pattern=coat, shade=0.92),
                   Shape('Hand', ellipse(*hand, 0.066, 0.066), 'light', instance)]
    shapes += [
        Shape('Body', ellipse(0, 0.0, belly, 0.26), pattern=coat),
        Shape('Body', ellipse(0.01, 0.05, belly * 0.62, 0.17), 'light', detail=True, pattern='fur')]
    y = -0.36
    shapes += [Shape('Head', ellipse(side * 0.17, y, 0.065, 0.07), 'second') for side in (-1, 1)]
    shapes += [
        Shape('Head', ellipse(0, y, 0.175, 0.165), pattern='fur'),
        Shape('Head', ellipse(0.0, y + 0.065, 0.125, 0.085), 'light', detail=True),
        Shape('Head', ellipse(-0.055, y - 0.005, 0.07, 0.075), 'light', detail=True),
        Shape('Head', ellipse(0.055, y - 0.005, 0.07, 0.075), 'light', detail=True),
        *eye('Head', -0.05, y - 0.01, 0.033), *eye('Head', 0.05, y - 0.01, 0.033),
        Shape('Head', limb([(-0.05, y + 0.09), (0.0, y + 0.11), (0.05, y + 0.09)], [0.016]), 'black', detail=True),
        Shape('Head', ellipse(0, y + 0.05, 0.022, 0.013), 'black', detail=True)]
    return Drawing(shapes)
