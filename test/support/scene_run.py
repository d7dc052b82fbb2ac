"""Domains of ``MovingScene`` with everything made of them, written as the stages leave them."""

from pathlib import Path

import numpy as np

from dsn_core.teachers.storage import write_inverse_depth, write_labels
from dsn_core.training.frame_store import FrameStore, Thinning, store_frames, write_picture
from dsn_core.training.pairs import Domain
from support.moving_scene import MovingScene, draw


def write_domains(folder: Path, length: int = 6) -> tuple[Domain, Domain]:
    """A day and a night domain with true labels and depth, and exact translations."""
    domains = []
    for seed, name in enumerate(('day', 'night')):
        scene = MovingScene(seed=seed, length=length, night=name == 'night')
        other = MovingScene(seed=seed, length=length, night=name == 'day')
        store_frames((scene,), folder / name, folder / 'work', 64, 96, Thinning())
        parts = {part: folder / part / name for part in ('synthetic', 'labels', 'depth')}
        for part in parts.values():
            part.mkdir(parents=True)
        for i in range(2 * length):
            position = (i % length) * scene.step
            _, depth, labels = draw(scene, i // length, position)
            translated, _, _ = draw(other, i // length, position)
            write_picture(parts['synthetic'] / f'{i:06d}.jpg', translated)
            write_labels(parts['labels'] / f'{i:06d}.png', labels, np.full_like(labels, 204))
            write_inverse_depth(parts['depth'] / f'{i:06d}.png', 1 / depth)
        disparity = parts['depth'] if name == 'day' else None
        store = FrameStore(folder / name)
        domains.append(Domain(name, store, parts['synthetic'], parts['labels'], disparity))
    return domains[0], domains[1]
