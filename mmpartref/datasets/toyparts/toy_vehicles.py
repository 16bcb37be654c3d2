"""ToyParts vehicles and bottles, facing right; coordinates as in ``toy_geometry``."""
import numpy as np

from mmpartref.datasets.toyparts.toy_geometry import (
    FAR,
    Drawing,
    Shape,
    blob,
    corners,
    curve,
    ellipse,
    limb,
    pick,
    rounded,
    uniform,
)


def wheel(part: str, instance: int, x: float, y: float, radius: float) -> list[Shape]:
    """A car wheel: rubber, rim and five bolts."""
    bolts = [Shape(part, ellipse(x + 0.36 * radius * np.cos(a), y + 0.36 * radius * np.sin(a), 0.1 * radius,
                                 0.1 * radius), 'black', instance, detail=True)
             for a in np.linspace(0, 2 * np.pi, 5, endpoint=False)]
    return [Shape(part, ellipse(x, y, radius, radius), 'rubber', instance),
            Shape(part, ellipse(x, y, 0.6 * radius, 0.6 * radius), 'metal', instance, detail=True), *bolts,
            Shape(part, ellipse(x, y, 0.14 * radius, 0.14 * radius), 'rubber', instance, detail=True)]


def car(rng: np.random.Generator) -> Drawing:
    """A car from the side, between a coupe and a van."""
    roof, rear, height = uniform(rng, 0.02, 0.1), uniform(rng, -0.5, -0.3), uniform(rng, 0.29, 0.36)
    radius = uniform(rng, 0.125, 0.145)
    body = rounded(0.07, (-0.57, 0.13), (-0.57, -0.1), (rear - 0.03, -0.13), (rear + 0.1, -height), (roof, -height),
                   (0.25, -0.12), (0.53, -0.07), (0.59, 0.02), (0.58, 0.13))
    top = 0.05 - height
    middle = (rear + roof) / 2 + 0.08
    shapes = [
        Shape('Body', body, pattern='gloss'),
        Shape('Body', corners((-0.6, 0.06), (0.6, 0.06), (0.6, 0.15), (-0.6, 0.15)), 'second', detail=True),
        Shape('Body', rounded(0.03, (rear + 0.05, -0.12), (rear + 0.13, top), (middle - 0.02, top),
                              (middle - 0.02, -0.12)), 'glass', detail=True, pattern='gloss'),
        Shape('Body', rounded(0.03, (middle + 0.02, -0.12), (middle + 0.02, top), (roof - 0.02, top), (0.17, -0.12)),
              'glass', detail=True, pattern='gloss'),
        Shape('Body', limb([(middle, -0.1), (middle, 0.05)], [0.012]), 'black', detail=True, alpha=0.6),
        Shape('Body', rounded(0.01, (middle + 0.03, -0.06), (middle + 0.11, -0.06), (middle + 0.11, -0.04),
                              (middle + 0.03, -0.04)), 'metal', detail=True),
        Shape('Body', ellipse(0.555, -0.02, 0.045, 0.035), 'lamp', detail=True),
        Shape('Body', ellipse(-0.56, -0.05, 0.03, 0.05), 'red', detail=True)]
    for instance, x in enumerate((-0.33, 0.34)):
        arch = ellipse(x, 0.13, radius + 0.03, radius + 0.03)
        shapes += [Shape('Body', arch, 'black', detail=True), *wheel('Tier', instance, x, 0.14, radius)]
    return Drawing([*shapes, Shape('Side Mirror', rounded(0.05, (0.1, -0.22), (0.28, -0.21), (0.27, -0.08),
                                                          (0.11, -0.08)), 'second', pattern='gloss'),
                    Shape('Side Mirror', ellipse(0.17, -0.155, 0.04, 0.03), 'white', detail=True, alpha=0.5)])


def bicycle(rng: np.random.Generator) -> Drawing:
    """A bicycle from the side; its wheels are transparent and labelled as discs."""
    radius, rise, saddle = uniform(rng, 0.215, 0.245), uniform(rng, 0.0, 0.05), uniform(rng, 0.0, 0.05)
    axles, crank = ((-0.34, 0.15), (0.36, 0.15)), (-0.05, 0.16)
    shapes = []
    start = uniform(rng, 0, np.pi)
    for instance, (x, y) in enumerate(axles):
        spokes = [limb([(x - radius * np.cos(a), y - radius * np.sin(a)), (x + radius * np.cos(a),
                                                                          y + radius * np.sin(a))], [0.01])
                  for a in np.linspace(0, np.pi, 6, endpoint=False) + start]
        shapes += [Shape('Tier', ellipse(x, y, radius, radius), 'metal', instance, alpha=0.35),
                   *[Shape('Tier', spoke, 'white', instance, detail=True, alpha=0.9) for spoke in spokes],
                   Shape('Tier', ellipse(x, y, radius - 0.065, radius - 0.065), 'metal', instance, True, stroke=0.02),
                   Shape('Tier', ellipse(x, y, radius - 0.025, radius - 0.025), 'rubber', instance, True, stroke=0.055)]
    seat, neck = (-0.15, -0.15), (0.25, -0.16)
    tubes = [(axles[0], crank), (axles[0], seat), (axles[1], neck), (crank, neck), (crank, (-0.18, -0.27 - saddle)),
             (seat, neck), (neck, (0.22, -0.25))]
    shapes += [Shape('Body', limb(tube, [0.06]), pattern='gloss') for tube in tubes]
    shapes += [Shape('Body', ellipse(*crank, 0.065, 0.065), 'metal'),
               Shape('Body', ellipse(*crank, 0.03, 0.03), 'rubber', detail=True),
               Shape('Seat', blob((-0.34, -0.34 - saddle), (-0.25, -0.32 - saddle), (-0.04, -0.32 - saddle),
                                  (-0.05, -0.27 - saddle), (-0.2, -0.24 - saddle), (-0.34, -0.25 - saddle)), 'leather')]
    if rng.random() < 0.5:
        bar = [(0.08, -0.31 - rise), (0.2, -0.33 - rise), (0.27, -0.24)]
    else:
        bar = [(0.2, -0.27), (0.32, -0.34 - rise), (0.42, -0.28), (0.36, -0.2)]
    return Drawing([*shapes, Shape('Head', limb([neck, (0.22, -0.3)], [0.09, 0.08]), 'metal'),
                    Shape('Head', limb(bar, [0.08]), 'rubber'),
                    Shape('Head', ellipse(0.29, -0.2, 0.05, 0.045), 'lamp')])


def boat(rng: np.random.Generator) -> Drawing:
    """A sailing boat with one or two sails; the mast belongs to the body."""
    mast, wide, belly = uniform(rng, -0.66, -0.55), uniform(rng, 0.36, 0.44), uniform(rng, 0.02, 0.09)
    coat = pick(rng, ('bands', 'plain', 'rays'))
    hull = rounded(0.06, (-0.52, 0.12), (0.6, 0.1), (0.4, 0.37), (-0.4, 0.37))
    leech = curve([(wide, 0.06), (wide * 0.8, -0.15 - belly), (wide * 0.4, mast * 0.65 - belly), (0.03, mast)])
    shapes = [Shape('Body', limb([(0.0, mast - 0.04), (0.0, 0.2)], [0.04]), 'wood')]
    if rng.random() < 0.6:
        edge = curve([(-0.43, 0.06), (-0.25, -0.2 - belly), (-0.05, mast + 0.1)])
        shapes.append(Shape('Sail', np.vstack([corners((-0.05, 0.06)), edge]), 'light', 1, shade=0.93))
    shapes += [
        Shape('Sail', np.vstack([corners((0.03, 0.06)), leech]), 'sail', 0, pattern=coat),
        Shape('Body', hull, pattern='planks'),
        Shape('Body', corners((-0.6, 0.08), (0.65, 0.08), (0.65, 0.155), (-0.6, 0.165)), 'second', detail=True)]
    shapes += [Shape('Body', ellipse(x, 0.24, 0.038, 0.038), 'glass', detail=True) for x in (-0.24, -0.04, 0.16)]
    return Drawing(shapes)


def aeroplane(rng: np.random.Generator) -> Drawing:
    """An airliner from the side with an engine under each wing."""
    sweep, fin, nose = uniform(rng, 0.0, 0.08), uniform(rng, 0.0, 0.07), uniform(rng, 0.0, 0.06)
    shapes = [
        Shape('Wing', rounded(0.03, (0.15, -0.06), (-0.12 - sweep, -0.34), (-0.22 - sweep, -0.34), (-0.08, -0.06)),
              'second', 1, pattern='gloss', shade=FAR),
        Shape('Engine', rounded(0.05, (-0.06, -0.27), (0.15, -0.27), (0.15, -0.16), (-0.06, -0.17)), 'metal', 1,
              shade=FAR, pattern='gloss'),
        Shape('Tail', rounded(0.03, (-0.6, -0.37 - fin), (-0.47, -0.37 - fin), (-0.29, -0.06), (-0.55, -0.02)),
              'second', pattern='gloss'),
        Shape('Body', blob((-0.62, -0.08), (-0.45, -0.1), (-0.2, -0.115), (0.1, -0.12), (0.33, -0.12), (0.4, 0.0),
                           (0.33, 0.12), (0.1, 0.12), (-0.2, 0.11), (-0.45, 0.02)), pattern='gloss'),
        Shape('Body', corners((-0.7, 0.045), (0.5, 0.045), (0.5, 0.075), (-0.7, 0.075)), 'second', detail=True)]
    shapes += [Shape('Body', rounded(0.015, (x, -0.065), (x + 0.035, -0.065), (x + 0.035, -0.015), (x, -0.015)),
                     'glass', detail=True) for x in np.arange(-0.32, 0.28, 0.07)]
    tip = 0.58 + nose
    return Drawing([
        *shapes,
        Shape('Head', blob((0.32, -0.122), (0.44, -0.1), (0.53, -0.05), (tip, 0.03), (0.53, 0.09), (0.42, 0.12),
                           (0.32, 0.122), (0.3, 0.0)), 'light', pattern='gloss'),
        Shape('Head', rounded(0.02, (0.42, -0.09), (0.47, -0.09), (0.54, -0.02), (0.42, -0.015)), 'glass', detail=True),
        Shape('Tail', rounded(0.025, (-0.34, -0.06), (-0.6, 0.1), (-0.69, 0.1), (-0.55, -0.06)), 'second',
              pattern='gloss', shade=0.9),
        Shape('Wing', rounded(0.03, (0.16, 0.03), (-0.26 - sweep, 0.37), (-0.4 - sweep, 0.37), (-0.12, 0.03)),
              'second', 0, pattern='gloss'),
        Shape('Engine', rounded(0.06, (-0.12, 0.14), (0.11, 0.13), (0.12, 0.27), (-0.12, 0.25)), 'metal', 0,
              pattern='gloss'),
        Shape('Engine', ellipse(0.1, 0.2, 0.02, 0.06), 'black', 0, detail=True)], grounded=False)


def bottle(rng: np.random.Generator) -> Drawing:
    """A bottle with a label; the mouth is the cap and the end of the neck."""
    half, neck, shoulder = uniform(rng, 0.15, 0.21), uniform(rng, 0.065, 0.08), uniform(rng, -0.18, -0.06)
    label = uniform(rng, 0.02, 0.1)
    profile = curve([(neck, -0.38), (neck, -0.26), (half, shoulder), (half, 0.2), (half, 0.45), (half - 0.04, 0.5)])
    body = np.vstack([profile, profile[::-1] * np.array([-1.0, 1.0])])
    mouth = rounded(0.025, (-neck - 0.03, -0.53), (neck + 0.03, -0.53), (neck + 0.03, -0.43), (neck + 0.005, -0.42),
                    (neck + 0.005, -0.35), (-neck - 0.005, -0.35), (-neck - 0.005, -0.42), (-neck - 0.03, -0.43))
    start = -half * 0.6
    lines = [Shape('Body', rounded(0.01, (start, y), (half * w, y), (half * w, y + 0.02), (start, y + 0.02)), 'main',
                   detail=True, alpha=0.8)
             for y, w in ((label + 0.07, 0.6), (label + 0.12, 0.2), (label + 0.17, 0.5))]
    return Drawing([
        Shape('Body', body, pattern='gloss', alpha=0.93),
        Shape('Body', corners((-0.3, label), (0.3, label), (0.3, label + 0.26), (-0.3, label + 0.26)), 'sail',
              detail=True),
        Shape('Body', ellipse(half * 0.5, label + 0.05, 0.04, 0.04), 'second', detail=True), *lines,
        Shape('Body', limb([(-half * 0.6, shoulder + 0.06), (-half * 0.65, 0.2), (-half * 0.6, 0.42)],
                           [0.02, 0.045, 0.02]), 'white', detail=True, alpha=0.5),
        Shape('Mouth', mouth, 'second', pattern='ribs')])
