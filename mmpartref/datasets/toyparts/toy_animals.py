"""ToyParts animals, facing right; coordinates as in ``toy_geometry``.

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
    rounded,
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


def reptile(rng: np.random.Generator) -> Drawing:
    """A lizard with a long tapering tail and bent legs."""
    coat = pick(rng, ('scales', 'scales', 'bands', 'spots'))
    bend, sway, girth = uniform(rng, 0.02, 0.06), uniform(rng, -0.12, 0.12), uniform(rng, 0.12, 0.15)
    shapes = []
    for instance, (x, far) in enumerate(((-0.08, True), (0.31, True), (-0.25, False), (0.13, False))):
        shade, sole = (FAR, 0.21) if far else (1.0, 0.27)
        shapes += [Shape('Foot', limb([(x, 0.02), (x + bend, 0.13), (x, sole)], [0.14, 0.115, 0.09]),
                         instance=instance, pattern='scales', shade=shade),
                   Shape('Foot', limb([(x - 0.01, sole + 0.02), (x + 0.075, sole + 0.025)], [0.08, 0.07]), 'second',
                         instance, shade=shade)]
    shapes.append(Shape('Tail', limb([(-0.22, 0.01), (-0.45, 0.08), (-0.65, 0.04), (-0.8, -0.05 + sway)],
                                     [0.2, 0.15, 0.1, 0.03]), pattern=coat, shade=0.92))
    if rng.random() < 0.6:
        root = 0.03 - girth
        shapes += [Shape('Body', corners((x - 0.06, root), (x - 0.015, root - 0.11), (x + 0.05, root)), 'second')
                   for x in np.linspace(-0.16, 0.18, 5)]
    shapes += [
        Shape('Body', blob((-0.32, 0.0), (-0.2, -girth * 0.85), (0.05, -girth), (0.27, -0.1), (0.33, 0.0),
                           (0.2, girth * 0.8), (-0.1, girth * 0.85)), pattern=coat),
        Shape('Body', ellipse(0.0, girth * 0.85, 0.3, 0.06), 'light', detail=True, alpha=0.7),
        Shape('Head', blob((0.26, 0.0), (0.28, -0.13), (0.4, -0.17), (0.52, -0.12), (0.65, -0.06), (0.66, 0.01),
                           (0.5, 0.06), (0.34, 0.07)), pattern='scales'),
        Shape('Head', limb([(0.44, 0.0), (0.56, -0.01), (0.67, -0.03)], [0.014]), 'black', detail=True),
        Shape('Head', ellipse(0.62, -0.055, 0.012, 0.01), 'black', detail=True),
        *eye('Head', 0.43, -0.095, 0.036)]
    return Drawing(shapes)


def snake(rng: np.random.Generator) -> Drawing:
    """A winding snake with a raised head."""
    coat = pick(rng, ('bands', 'bands', 'scales', 'diamonds'))
    wave, lift = uniform(rng, 0.09, 0.14), uniform(rng, -0.3, -0.2)
    turns = [(x, wave * side) for x, side in zip((-0.62, -0.42, -0.2, 0.03, 0.24), (-0.6, 1, -1, 1, 0.6), strict=True)]
    line = [*turns, (0.33, -0.06), (0.35, lift * 0.75), (0.45, lift)]
    body = limb(line, [0.04, 0.1, 0.14, 0.15, 0.15, 0.15, 0.14, 0.12])
    tip = (0.7, lift + 0.06)
    tongue = [limb([(0.56, lift + 0.03), (0.65, lift + 0.04), end], [0.022])
              for end in (tip, (0.71, lift + 0.0))]
    return Drawing([
        Shape('Body', body, pattern=coat),
        *[Shape('Head', outline, 'red') for outline in tongue],
        Shape('Head', blob((0.36, lift - 0.01), (0.42, lift - 0.09), (0.54, lift - 0.07), (0.62, lift + 0.01),
                           (0.58, lift + 0.07), (0.44, lift + 0.08)), 'second', pattern='scales'),
        Shape('Head', limb([(0.48, lift + 0.04), (0.62, lift + 0.035)], [0.012]), 'black', detail=True),
        *eye('Head', 0.5, lift - 0.022, 0.032)])


def fish(rng: np.random.Generator) -> Drawing:
    """A fish with a dorsal, a ventral and a side fin; the head ends at the gill."""
    coat = pick(rng, ('scales', 'scales', 'stripes', 'bands'))
    height, sail, fork = uniform(rng, 0.19, 0.25), uniform(rng, 0.12, 0.2), uniform(rng, 0.17, 0.23)
    x = np.linspace(-0.38, 0.46, 40)
    t = (x + 0.38) / 0.84
    half = height * np.maximum(np.sin(np.pi * t ** 0.85), 0) ** 0.75 + 0.04 * (1 - t)
    body = np.vstack([np.stack([x, -half], 1), np.stack([x, half], 1)[::-1]])
    face = x > 0.17
    gill_y = np.linspace(half[face][0], -half[face][0], 12)[1:-1]
    gill = np.stack([x[face][0] - 0.05 * np.cos(np.pi * gill_y / (2 * half[face][0])), gill_y], 1)
    head = np.vstack([np.stack([x, -half], 1)[face], np.stack([x, half], 1)[face][::-1], gill])
    top = -height * 0.8
    return Drawing([
        Shape('Tail', blob((-0.33, -0.05), (-0.47, -0.13), (-0.62, -fork - 0.02), (-0.56, 0.0), (-0.62, fork + 0.02),
                           (-0.47, 0.13), (-0.33, 0.05)), 'second', pattern='rays'),
        Shape('Fin', blob((0.16, top), (0.05, top - sail), (-0.14, top - sail * 0.9), (-0.27, top + 0.02),
                          (-0.2, top + 0.1), (0.1, top + 0.1)), 'second', 0, pattern='rays'),
        Shape('Fin', blob((0.06, -top), (-0.06, 0.12 - top), (-0.19, 0.13 - top), (-0.2, -top - 0.08),
                          (0.0, -top - 0.1)), 'second', 1, pattern='rays'),
        Shape('Body', body, pattern=coat),
        Shape('Body', ellipse(0, height, 0.4, height * 0.45), 'light', detail=True, alpha=0.6),
        Shape('Head', head, shade=1.08),
        Shape('Head', ellipse(0.3, height * 0.8, 0.14, height * 0.45), 'light', detail=True, alpha=0.6),
        Shape('Head', limb([(0.36, 0.06), (0.42, 0.045), (0.47, 0.02)], [0.018]), 'black', detail=True),
        *eye('Head', 0.29, -0.05, 0.046),
        Shape('Fin', blob((0.09, 0.03), (-0.03, -0.03), (-0.14, 0.04), (-0.12, 0.12), (0.0, 0.12)), 'second', 2,
              pattern='rays')], grounded=False)


def bird(rng: np.random.Generator) -> Drawing:
    """A songbird with folded or raised wings."""
    coat = pick(rng, ('feathers', 'feathers', 'fur', 'spots'))
    fan, stance, beak = uniform(rng, -0.08, 0.08), uniform(rng, -0.05, 0.05), uniform(rng, 0.08, 0.13)
    flying = rng.random() < 0.5
    shapes = [Shape('Tail', rounded(0.05, (-0.16, -0.06), (-0.52, -0.03 + fan), (-0.56, 0.1 + fan),
                                    (-0.49, 0.19 + fan), (-0.14, 0.12)), 'second', pattern='rays')]
    if flying:
        shapes.append(Shape('Wing', blob((0.16, -0.08), (0.2, -0.3), (0.08, -0.52), (-0.02, -0.5), (-0.03, -0.3),
                                         (-0.02, -0.08)), 'second', 1, pattern='rays', shade=FAR))
    for instance, (x, far) in enumerate(((0.08, True), (-0.05, False))):
        shade, end = FAR if far else 1.0, x + stance
        shapes += [Shape('Foot', limb([(x, 0.1), (end, 0.25), (end + 0.01, 0.36)], [0.11, 0.07, 0.055]), 'beak',
                         instance, shade=shade),
                   Shape('Foot', rounded(0.03, (end - 0.07, 0.39), (end + 0.0, 0.31), (end + 0.15, 0.39)), 'beak',
                         instance, shade=shade)]
    shapes += [
        Shape('Body', blob((-0.3, 0.03), (-0.12, -0.13), (0.1, -0.21), (0.25, -0.2), (0.3, -0.03), (0.2, 0.13),
                           (0.0, 0.2), (-0.18, 0.15)), pattern=coat),
        Shape('Body', ellipse(0.14, 0.08, 0.18, 0.13, -25), 'light', detail=True, alpha=0.8),
        Shape('Head', corners((0.36, -0.32), (0.42 + beak, -0.25), (0.36, -0.19)), 'beak'),
        Shape('Head', ellipse(0.26, -0.27, 0.145, 0.135), pattern='fur', shade=1.05),
        *eye('Head', 0.31, -0.3, 0.036)]
    wing = (blob((0.1, -0.1), (0.0, -0.3), (-0.16, -0.47), (-0.29, -0.5), (-0.29, -0.33), (-0.23, -0.13),
                 (-0.12, 0.02), (0.03, 0.06)) if flying else
            blob((0.14, -0.07), (0.02, -0.12), (-0.15, -0.07), (-0.38, 0.07), (-0.2, 0.11), (0.0, 0.11), (0.12, 0.05)))
    shapes.append(Shape('Wing', wing, 'second', 0, pattern='feathers'))
    return Drawing(shapes, grounded=not flying)
