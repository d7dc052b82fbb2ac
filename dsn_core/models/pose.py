"""PoseNet (Eq 5): how the camera moved between two frames; used in training only."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dsn_core.geometry import invert_transform, transform_from_pose
from dsn_core.models.encoder import ResNetEncoder

__all__ = ['Pose', 'PoseNet']

# [17]: the first guess of an untrained network is nearly no motion, where view synthesis starts.
POSE_SCALE = 0.01


class Pose(NamedTuple):
    """The motion from a first camera's coordinates to a second's: ``p_2 = R p_1 + t``."""

    axis_angle: Tensor  # (B, 3), radians
    translation: Tensor  # (B, 3), in the unit of depth


class PoseNet(nn.Module):
    """[17]'s: a ResNet-18 on two stacked frames, then four small convolutions and a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = ResNetEncoder(images=2)
        self.decoder = nn.Sequential(
            nn.Conv2d(ResNetEncoder.channels[-1], 256, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 6, 1),
        )

    def forward(self, first: Tensor, second: Tensor) -> Pose:
        """Two frames (B, 3, H, W) in [0, 1], the earlier one first → the motion between them.

        Raises ValueError if the frames differ in shape.
        """
        if first.shape != second.shape:
            raise ValueError(
                f'second must be {tuple(first.shape)} as first is, got {tuple(second.shape)}'
            )
        features = self.encoder(torch.cat([first, second], dim=1))[-1]  # (B, 512, H/32, W/32)
        # Out of autocast's half precision before the mean: a pose is worth all its digits.
        motion = POSE_SCALE * self.decoder(features).float().mean(dim=(2, 3))  # (B, 6)
        return Pose(motion[:, :3], motion[:, 3:])

    def transform(self, first: Tensor, second: Tensor) -> Tensor:
        """The same as a transform (B, 4, 4)."""
        return transform_from_pose(*self(first, second))

    def neighbours(
        self, previous: Tensor, target: Tensor, following: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Eq 5 for both sources: T_{t→t-1} and T_{t→t+1}, (B, 4, 4) each.

        Departs from print, PoseNet(I_s, I_t): as in [17]'s code the network always sees frames in
        the order of time, and the motion to the previous frame is inverted; it need not learn
        that cars can drive backwards.
        """
        backwards = invert_transform(self.transform(previous, target))
        return backwards, self.transform(target, following)
