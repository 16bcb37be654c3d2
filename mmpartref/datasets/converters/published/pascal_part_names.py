"""PASCAL-Part's names: the words for the abbreviations in its .mat files, by class.

Source: Chen et al., Detect What You Can: Detecting and Representing Objects using Holistic Models and Body Parts (CVPR
2014), ``part2ind.m`` of its archive.
"""
import re

# PASCAL VOC's spelling of class names that are two words; "table" and "diningtable" both occur.
OBJECT_WORDS = {'diningtable': 'dining table', 'pottedplant': 'potted plant', 'tvmonitor': 'tv monitor',
                'motorbike': 'motorbike', 'aeroplane': 'aeroplane', 'table': 'dining table'}
# Classes whose objects are annotated without parts.
WITHOUT_PARTS = ('boat', 'chair', 'diningtable', 'table', 'sofa')

_HEAD = {'head': 'head', 'leye': 'left eye', 'reye': 'right eye'}
_EARS = {'lear': 'left ear', 'rear': 'right ear'}
_TRUNK = {'torso': 'torso', 'neck': 'neck'}
_FOUR = {'lf': 'left front', 'rf': 'right front', 'lb': 'left back', 'rb': 'right back'}
_CYCLE = {'fwheel': 'front wheel', 'bwheel': 'back wheel', 'saddle': 'saddle', 'handlebar': 'handlebar',
          'headlight': 'headlight'}
_SIDES = {'frontside': 'front side', 'leftside': 'left side', 'rightside': 'right side', 'backside': 'back side',
          'roofside': 'roof side'}
_CAR = {
    **_SIDES, 'leftmirror': 'left mirror', 'rightmirror': 'right mirror',
    'fliplate': 'front license plate', 'bliplate': 'back license plate', 'door': 'door', 'wheel': 'wheel',
    'headlight': 'headlight', 'window': 'window'}
_CAT = {
    **_HEAD, **_EARS, 'nose': 'nose', **_TRUNK,
    **{f'{key}{short}': f'{side} {part}' for key, side in _FOUR.items() for short, part in (('leg', 'leg'),
                                                                                          ('pa', 'paw'))},
    'tail': 'tail'}
_GRAZER = {
    **_HEAD, **_EARS, 'muzzle': 'muzzle', **_TRUNK,
    **{f'{key}{short}leg': f'{side} {half} leg' for key, side in _FOUR.items() for short, half in (('u', 'upper'),
                                                                                                  ('l', 'lower'))},
    'tail': 'tail'}
_HORNS = {'lhorn': 'left horn', 'rhorn': 'right horn'}

# Part in words, by class and by the part's name in the files without its number ("wheel_2").
PARTS: dict[str, dict[str, str]] = {
    'aeroplane': {'body': 'body', 'stern': 'stern', 'lwing': 'left wing', 'rwing': 'right wing', 'tail': 'tail',
                  'engine': 'engine', 'wheel': 'wheel'},
    'bicycle': {**_CYCLE, 'chainwheel': 'chainwheel'},
    'bird': {**_HEAD, 'beak': 'beak', **_TRUNK, 'lwing': 'left wing', 'rwing': 'right wing', 'lleg': 'left leg',
             'lfoot': 'left foot', 'rleg': 'right leg', 'rfoot': 'right foot', 'tail': 'tail'},
    'bottle': {'cap': 'cap', 'body': 'body'},
    'bus': _CAR,
    'car': _CAR,
    'cat': _CAT,
    'cow': {**_GRAZER, **_HORNS},
    'dog': {**_CAT, 'muzzle': 'muzzle'},
    'horse': {**_GRAZER, **{f'{key}ho': f'{side} hoof' for key, side in _FOUR.items()}},
    'motorbike': _CYCLE,
    'person': {
        **_HEAD, **_EARS, 'lebrow': 'left eyebrow', 'rebrow': 'right eyebrow', 'nose': 'nose', 'mouth': 'mouth',
        'hair': 'hair', **_TRUNK, 'llarm': 'left lower arm', 'luarm': 'left upper arm', 'lhand': 'left hand',
        'rlarm': 'right lower arm', 'ruarm': 'right upper arm', 'rhand': 'right hand', 'llleg': 'left lower leg',
        'luleg': 'left upper leg', 'lfoot': 'left foot', 'rlleg': 'right lower leg', 'ruleg': 'right upper leg',
        'rfoot': 'right foot'},
    'pottedplant': {'pot': 'pot', 'plant': 'plant'},
    'sheep': {**_GRAZER, **_HORNS},
    'train': {'head': 'head', **{f'h{key}': f'head {side}' for key, side in _SIDES.items()}, 'headlight': 'headlight',
              'coach': 'coach', **{f'c{key}': f'coach {side}' for key, side in _SIDES.items()}},
    'tvmonitor': {'screen': 'screen'},
}
CLASSES = (*PARTS, *WITHOUT_PARTS)
NUMBER = re.compile(r'_\d+$')


def part_key(name: str) -> str:
    """Return a part's name without the number of parts that occur several times: "wheel" for "wheel_2"."""
    return NUMBER.sub('', name)


def category_names() -> list[tuple[str, str, str]]:
    """Return ("class:part" as in the files, object in words, part in words), in the order of the classes."""
    return [(f'{owner}:{key}', OBJECT_WORDS.get(owner, owner), words) for owner, parts in PARTS.items()
            for key, words in parts.items()]
