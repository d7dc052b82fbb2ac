"""What a label-free configuration needs: which stages, which domains, which files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dsn_core.checkpoint import POSE_FILE, CheckpointInfo
from dsn_core.data.drives import Drive
from dsn_core.data.source import FrameSource
from dsn_core.digest import Digests
from dsn_core.errors import ConfigError, UserError
from dsn_core.labels import CITYSCAPES
from dsn_core.losses import LossWeights, required_inputs
from dsn_core.pretrained import require_source, source_path
from dsn_core.teachers import LabelTeacher
from dsn_core.training.label_free_config import LabelFreeConfig
from dsn_core.training.pairs import Domain
from dsn_core.training.plain import plain

__all__ = ['DAY_ONLY', 'STAGES', 'Plan']

STAGES = ('frames', 'translate', 'day-depth', 'label', 'distil', 'export')
DAY_ONLY: Mapping[str, float] = {
    'light': 0.0,
    'self_supervision_synthetic_night': 0.0,
    'self_supervision_night': 0.0,
    'consistency': 0.0,
    'depth_distillation': 0.0,
    'segmentation': 0.0,
}
"""Weights of Monodepth2 [17] on day frames: the depth teacher's."""

_SAME_LENS = 0.02  # focal lengths this close, as a share, are one camera's
_NOT_CONTENT = ('workers',)  # fields of sources that don't change their frames


class Plan:
    """What follows from a configuration; raises ConfigError naming a field that is missing."""

    def __init__(self, config: LabelFreeConfig) -> None:
        self.config = config
        self.needs = required_inputs(config.weights)
        of_day = {'day', 'synthetic_night', 'day_frames', 'day_labels', 'teacher_disparity'}
        of_night = {'night', 'synthetic_day', 'night_frames', 'night_labels'}
        translates = bool(self.needs & {'synthetic_day', 'synthetic_night'})
        wanted = {
            'day': translates or self.needs & of_day,
            'night': translates or self.needs & of_night,
        }
        self.domains = tuple(d for d, is_needed in wanted.items() if is_needed)
        self.labelled = tuple(d for d in self.domains if f'{d}_labels' in self.needs)
        needed = {
            'translate': translates,
            'day-depth': 'teacher_disparity' in self.needs,
            'label': bool(self.labelled),
        }
        self.stages = tuple(s for s in STAGES if needed.get(s, True))
        for domain in self.domains:
            if not getattr(config, domain):
                raise ConfigError(
                    f'{domain} is missing, but the weights need {domain} frames: give '
                    f'{domain}=PATH (a bag, a folder of drives or pictures, a data set)'
                )
        if config.distil.light is False and config.weights.light:
            raise ConfigError(
                'weights.light must be 0 when distil.light is false: there is no light module'
            )
        own_teacher = 'day-depth' in self.stages and config.day_depth.teacher is None
        if config.distil.init == 'day-depth' and not own_teacher:
            raise ConfigError(
                'distil.init=day-depth needs the stage day-depth to train a network: leave '
                'day_depth.teacher out and weights.depth_distillation above 0, or start otherwise'
            )
        if self.labelled and config.label.teacher is None:
            raise ConfigError(
                'label.teacher is missing: give label.teacher.kind=onnx (or mask2former, '
                'checkpoint, folder) and its fields, or weights.segmentation=0'
            )

    def require_starts(self) -> None:
        """Raise UserError if weights to start from are missing, which are first read late."""
        config = self.config
        inits = {'distil': config.distil.init}
        if 'day-depth' in self.stages and config.day_depth.teacher is None:
            inits['day_depth'] = config.day_depth.init
        for stage, init in inits.items():
            if init != 'day-depth':
                try:
                    require_source(init, config.variant)
                except UserError as error:
                    raise ConfigError(f'{stage}.init: {error}') from error

    @property
    def label_teacher(self) -> LabelTeacher:
        """The segmentation teacher, which a plan with the stage label has."""
        assert self.config.label.teacher is not None
        return self.config.label.teacher

    @property
    def day_weights(self) -> LossWeights:
        """What the day depth teacher is trained with."""
        weights = self.config.weights
        own = {'smoothness': weights.smoothness, 'speed': weights.speed}
        return LossWeights(**{**DAY_ONLY, **own})

    def source_inputs(self, domain: str, digests: Digests) -> list[dict[str, Any]]:
        """What decides a domain's frames: fields that are no paths, and the files' content."""
        rows = []
        sources: tuple[FrameSource, ...] = getattr(self.config, domain)
        for source in sources:
            fields = {
                k: v
                for k, v in plain(source).items()
                if not isinstance(getattr(source, k), Path) and k not in _NOT_CONTENT
            }
            rows.append({**fields, 'files': digests.of_files(source.files())})
        return rows

    def file_digest(self, path: Path | None, digests: Digests) -> str | None:
        """Digest of a file that a field names, if it does; raises ConfigError if it is missing."""
        if path is None:
            return None
        if not path.is_file():
            raise ConfigError(f'{path} is not there: check the path')
        return digests.of_file(path)

    def init_digest(self, init: str, digests: Digests) -> str:
        """What decides the weights that training starts from: a name, or files' content."""
        path = source_path(init)
        if not init or not path.exists():
            return init
        if path.is_dir():
            return digests.of_files([f for f in path.iterdir() if f.is_file()])
        return digests.of_files([f for f in (path, path.with_name(POSE_FILE)) if f.is_file()])

    def validation_drives(self, out: Path) -> list[Drive]:
        """Drives with ground truth; raises ConfigError if a source has none."""
        drives: list[Drive] = []
        for number, source in enumerate(self.config.validation):
            find = getattr(source, 'drives', None)
            if find is None:
                raise ConfigError(
                    f'validation must be of kind drives or simulation, which have ground truth, '
                    f'got {source.kind}'
                )
            drives += find(out / 'validation' / str(number))
        return drives

    def info(
        self, domains: tuple[Domain, ...], weights: LossWeights, light: bool
    ) -> CheckpointInfo:
        """What a network trained on ``domains`` with ``weights`` is."""
        config = self.config
        metric = weights.speed > 0
        if metric and not any(np.isfinite(d.frames.travelled).any() for d in domains):
            raise ConfigError(
                'weights.speed needs frames whose source knows how far the camera moved (odometry '
                'or tf in the bag, poses beside the pictures): add such a source, or leave it 0'
            )
        return CheckpointInfo(
            name=config.name,
            height=config.height,
            width=config.width,
            training_data=config.training_data,
            class_names=CITYSCAPES.names if weights.segmentation else (),
            min_depth=config.options.min_depth,
            max_depth=config.options.max_depth,
            light=light,
            variant=config.variant,
            scale='metric' if metric else 'relative',
            focal_length=_focal_length(domains) if metric else None,
        )


def _focal_length(domains: tuple[Domain, ...]) -> float | None:
    """The frames' focal length, pixels, if they are all of one lens."""
    lengths = np.array(
        [
            np.sqrt(k[0, 0] * k[1, 1])
            for domain in domains
            for k in map(domain.frames.intrinsics, range(len(domain.frames)))
        ]
    )
    middle = float(np.median(lengths))
    return middle if np.ptp(lengths) <= _SAME_LENS * middle else None
