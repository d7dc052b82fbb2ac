"""An ablation of a drawn scene: small enough to be trained in a test."""

from pathlib import Path

import yaml

from support.drive_factory import write_drive
from support.train_scene import CONFIG

QUICK = (
    'day.delay=0',
    'night.delay=0',
    'day.sequences=2',
    'night.sequences=2',
    'label.teacher.delay=0',
    'translate.epochs=1',
    'translate.decay_epochs=0',
    'translate.samples_per_epoch=2',
    'day_depth.schedule.epochs=1',
    'day_depth.schedule.samples_per_epoch=2',
    'day_depth.schedule.batch_size=2',
    'distil.schedule.epochs=1',
    'distil.schedule.samples_per_epoch=2',
    'distil.schedule.batch_size=2',
)


def write_ablation(folder: Path, **fields: object) -> Path:
    """A configuration of ``dsn ablate``, and all that it names, in ``folder``."""
    scene = folder / 'scene.yaml'
    scene.write_text(CONFIG.format(out=folder / 'not-used'))
    for name, condition in (('town09_day', 'day'), ('town19_night', 'night')):
        if not (folder / 'drives' / name).exists():
            write_drive(folder / 'drives', name, 'test', condition, frames=1, height=64, width=96)
    scored = {'sets': [str(folder / 'drives')], 'rows': [str(predictions(folder))]}
    (folder / 'scored.yaml').write_text(yaml.safe_dump(scored))
    data = {
        'train': ['scene.yaml', *QUICK],
        'evaluate': 'scored.yaml',
        'out': str(folder / 'out'),
        **fields,
    }
    path = folder / 'ablation.yaml'
    path.write_text(yaml.safe_dump(data))
    return path


def predictions(folder: Path) -> Path:
    """The truth of the drives, as somebody's predictions."""
    import cv2
    import numpy as np

    out = folder / 'predicted'
    for file in (folder / 'drives').glob('*/depth/*.png'):
        depth = cv2.imread(str(file), cv2.IMREAD_UNCHANGED).astype(np.float32) / 256
        stem = out / file.parents[1].name / file.stem
        stem.parent.mkdir(parents=True, exist_ok=True)
        np.save(f'{stem}.depth.npy', np.where(depth > 0, depth, np.inf))
    return out
