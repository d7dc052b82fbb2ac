"""``dsn train`` with a drawn scene as source and as teacher: python -m support.train_scene."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import support.moving_scene  # noqa: F401  registers the kind moving_scene
from dsn_core.teachers.base import Labeller, Labels, LabelTeacher

CONFIG = """
recipe: label_free
name: scene
out: {out}
training_data: a drawn road
height: 64
width: 96
day: {{kind: moving_scene, seed: 1, sequences: 3, length: 6, delay: 0.05}}
night: {{kind: moving_scene, seed: 2, sequences: 3, length: 6, night: true}}
translate: {{epochs: 1, decay_epochs: 1, samples_per_epoch: 12, batch_size: 2, width: 8, blocks: 1,
  load_height: 64, crop: [64, 96], pool: 4}}
day_depth:
  schedule: {{epochs: 2, samples_per_epoch: 12, batch_size: 4}}
label: {{batch_size: 2, teacher: {{kind: scene, delay: 0.1}}}}
distil:
  schedule: {{epochs: 2, samples_per_epoch: 12, batch_size: 4, freeze_batch_norm: true}}
trainer: {{precision: fp32, workers: 0, save_minutes: 0.02, log_steps: 1}}
"""


@dataclass(frozen=True)
class SceneTeacher(LabelTeacher, kind='scene'):
    """Says road below the horizon and building above, from the row alone."""

    delay: float = 0.0
    """Seconds that a batch takes."""

    def fingerprint(self) -> str:
        return 'rows'

    def load(self, device: str) -> Labeller:
        def label(images: np.ndarray, names: Sequence[str]) -> Labels:
            time.sleep(self.delay)
            count, height, width, _ = images.shape
            rows = np.arange(height)[None, :, None]
            ids = np.broadcast_to(np.where(rows > 0.5 * height, 0, 2), (count, height, width))
            return Labels(ids.astype(np.uint8), np.full(ids.shape, 204, np.uint8))

        return label


if __name__ == '__main__':
    from dsn_ros.cli import main

    main()
