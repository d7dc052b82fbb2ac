"""Training samples drawn from drives: sample i is the same whenever it is asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from dsn_core.data.augment import random_view, worse_camera
from dsn_core.data.drives import Drive
from dsn_core.training.supervised_config import PhaseConfig, SupervisedConfig

__all__ = ['DriveSamples']


class DriveSamples(Dataset[dict[str, Any]]):
    """The samples of one phase.

    A sample: ``image`` (3, H, W) float32 RGB in [0, 1], ``depth`` (H, W) float32 metres as a
    camera of the config's focal length would have it, 0 = none, ``labels`` (H, W) int64.
    """

    def __init__(self, drives: Sequence[Drive], config: SupervisedConfig, phase: int) -> None:
        self.drives = list(drives)
        self.ends = np.cumsum([d.frames for d in self.drives])
        self.config = config
        self.phase: PhaseConfig = config.phases[phase]
        self.phase_index = phase
        self._samples_before = sum(p.samples for p in config.phases[:phase])
        # The same angle of view at this phase's width.
        self.focal_length = config.focal_length * self.phase.width / config.phases[-1].width

    def __len__(self) -> int:
        return self.phase.samples

    def _strength(self, index: int) -> float:
        ramp = self.config.camera_ramp * sum(p.samples for p in self.config.phases)
        progress = (self._samples_before + index) / ramp if ramp > 0 else 1.0
        return self.config.camera_strength * min(1.0, progress)

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = np.random.default_rng([self.config.seed, self.phase_index, index])
        pick = int(rng.integers(self.ends[-1]))
        which = int(np.searchsorted(self.ends, pick, side='right'))
        drive = self.drives[which]
        before = int(self.ends[which - 1]) if which else 0
        frame = drive.read(pick - before)
        view, focal_factor = random_view(
            frame, self.phase.height, self.phase.width, rng, self.config.max_zoom
        )
        image = worse_camera(view.image, rng, self._strength(index))
        focal_length = np.sqrt(drive.fx * drive.fy) * focal_factor
        depth = view.depth * np.float32(self.focal_length / focal_length)
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
        return {
            'image': pixels.float() / 255,
            'depth': torch.from_numpy(np.ascontiguousarray(depth)),
            'labels': torch.from_numpy(view.labels.astype(np.int64)),
        }
