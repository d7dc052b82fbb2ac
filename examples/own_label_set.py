"""The network's classes as your own: python examples/own_label_set.py PICTURE [OUT.png].

A warehouse robot asks for four things, not for nineteen. A class that is not named here becomes
'fixture': what is not known should stop a robot.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from dsn_core.data.picture_file import read_picture, to_rgb
from dsn_core.labels import UNLABELLED, LabelClass, LabelSet
from dsn_core.visual import overlay
from dsn_ros.engines import load_engine
from dsn_ros.pipeline import Frame, Pipeline

OURS = LabelSet(
    'warehouse',
    (
        LabelClass(0, 'floor', (90, 90, 90), frozenset({'ground'})),
        LabelClass(1, 'person', (220, 20, 60), frozenset({'obstacle', 'dynamic'})),
        LabelClass(2, 'vehicle', (0, 0, 200), frozenset({'obstacle', 'dynamic'})),
        LabelClass(3, 'fixture', (200, 160, 60), frozenset({'obstacle'})),
    ),
)
BECOMES = {
    **dict.fromkeys(('road', 'sidewalk', 'terrain'), 'floor'),
    **dict.fromkeys(('person', 'rider'), 'person'),
    **dict.fromkeys(('car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle'), 'vehicle'),
}


def table(names: tuple[str, ...]) -> np.ndarray:
    """(256,) uint8: our id for each id of a network with classes ``names``; 255 stays 255."""
    ours = np.full(256, UNLABELLED, np.uint8)
    for number, name in enumerate(names):
        ours[number] = OURS.id_of(BECOMES.get(name, 'fixture'))
    return ours


def main() -> None:
    """Write the picture with our classes over it, and print how much each one covers."""
    picture, out = Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else 'ours.png')
    engine = load_engine()
    seen = Pipeline(engine).process(Frame(to_rgb(read_picture(picture))))
    labels = table(tuple(engine.metadata.class_names))[seen.labels]
    cv2.imwrite(str(out), overlay(seen.image, labels, OURS)[..., ::-1])
    for each in OURS.classes:
        print(f'{each.name}: {np.mean(labels == each.id):.1%}')
    print(f'in the way: {np.mean(OURS.mask(labels, "obstacle")):.1%}')


if __name__ == '__main__':
    main()
