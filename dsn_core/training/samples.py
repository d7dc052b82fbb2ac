"""Training samples drawn from drives: sample i is the same whenever it is asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from dsn_core.data.augment import other_textures, random_view, worse_camera
from dsn_core.data.damaged import Damaged
from dsn_core.data.drives import Drive, DriveError, DriveFrame
from dsn_core.training.supervised_config import PhaseConfig, SupervisedConfig

__all__ = ['DriveSamples', 'WholeFrames']


class WholeFrames:
    """The frames of drives one after the other, of which damaged ones are left out."""

    def __init__(self, drives: Sequence[Drive]) -> None:
        self.drives = list(drives)
        self.ends = np.cumsum([d.frames for d in self.drives])
        folders = ', '.join(dict.fromkeys(str(d.path.parent) for d in self.drives))
        self._damaged = Damaged(folders, int(self.ends[-1]))

    def __len__(self) -> int:
        return int(self.ends[-1])

    def read(self, index: int) -> tuple[Drive, DriveFrame]:
        """Frame ``index`` and its drive, or the next one that can be read.

        Raises UserError where too many cannot be.
        """
        while True:
            which = int(np.searchsorted(self.ends, index, side='right'))
            drive = self.drives[which]
            try:
                return drive, drive.read(index - int(self.ends[which]) + drive.frames)
            except DriveError as error:
                self._damaged.leave_out(error, index)
            index = (index + 1) % len(self)


class DriveSamples(Dataset[dict[str, Any]]):
    """The samples of one phase.

    A sample: ``image`` (3, H, W) float32 RGB in [0, 1], ``depth`` (H, W) float32 metres as a
    camera of the config's focal length would have it, 0 = none, ``labels`` (H, W) int64.
    """

    def __init__(self, drives: Sequence[Drive], config: SupervisedConfig, phase: int) -> None:
        self.frames = WholeFrames(drives)
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
        drive, frame = self.frames.read(int(rng.integers(len(self.frames))))
        view, focal_factor = random_view(
            frame, self.phase.height, self.phase.width, rng, self.config.max_zoom
        )
        image = other_textures(view.image, view.labels, rng, self.config.texture_strength)
        image = worse_camera(image, rng, self._strength(index))
        focal_length = np.sqrt(drive.fx * drive.fy) * focal_factor
        depth = view.depth * np.float32(self.focal_length / focal_length)
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
        return {
            'image': pixels.float() / 255,
            'depth': torch.from_numpy(np.ascontiguousarray(depth)),
            'labels': torch.from_numpy(view.labels.astype(np.int64)),
        }
