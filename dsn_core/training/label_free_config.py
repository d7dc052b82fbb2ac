"""Configuration of the paper's label-free training: all defaults, in one place.

The defaults are the paper's, or those of the work that it takes a part from; a configuration file
states what it changes.
"""

from dataclasses import dataclass, field
from pathlib import Path

from dsn_core.data.source import FrameSource
from dsn_core.errors import require
from dsn_core.losses import LossOptions, LossWeights
from dsn_core.models.variants import VARIANTS
from dsn_core.teachers import DepthTeacher, LabelTeacher
from dsn_core.training.trainer_config import TrainerConfig
from dsn_core.training.translate_config import TranslateConfig

__all__ = [
    'DayDepthConfig',
    'DistilConfig',
    'ExportConfig',
    'FramesConfig',
    'LabelConfig',
    'LabelFreeConfig',
    'ScheduleConfig',
]


@dataclass(frozen=True)
class FramesConfig:
    """Stage frames: which frames are kept of the sources, and how."""

    max_fps: float = 0.0
    """Frames a second at most, 0: all. Neighbours too close in time show no parallax."""
    min_travel: float = 0.0
    """Drop frames until the camera has moved so many metres, where the source knows; a standing
    camera teaches nothing. 0: keep all."""
    limit: int = 0
    """Frames at most for day and for night each, 0: all."""
    jpeg_quality: int = 95
    """Quality of the stored frames, 1 to 100."""

    def __post_init__(self) -> None:
        require(self.max_fps >= 0, 'max_fps', 'zero or more', self.max_fps)
        require(self.min_travel >= 0, 'min_travel', 'zero or more', self.min_travel)
        require(self.limit >= 0, 'limit', 'zero or more', self.limit)
        require(1 <= self.jpeg_quality <= 100, 'jpeg_quality', '1 to 100', self.jpeg_quality)


@dataclass(frozen=True)
class ScheduleConfig:
    """How long and how fast a network is trained."""

    epochs: int = 40
    """Epochs; after each, pictures and validation figures are logged."""
    samples_per_epoch: int = 0
    """Samples an epoch; 0: as many as there are frames with neighbours in the larger domain."""
    batch_size: int = 4
    """Samples a step, over all processes together."""
    learning_rate: float = 2.5e-4
    """Adam's learning rate at the start."""
    decay_after: float = 0.75
    """Share of all steps after which the learning rate falls to a tenth, as [17]'s does."""
    flip: float = 0.5
    """Share of samples that are mirrored."""
    jitter: float = 0.5
    """Share of samples whose colours are changed, as [17] does: brightness, contrast and
    saturation by up to 20 %, hue by up to a tenth of the circle."""
    ema_decay: float = 0.0
    """Decay a step of averaged weights, which are then the ones that are kept; 0: no average."""
    freeze_batch_norm: bool = False
    """Leave the statistics of batch normalisation as the start has them: for tiny batches."""
    clip_gradient: float = 0.0
    """Largest norm of the gradient; 0: any."""
    encoder_rate: float = 1.0
    """Learning rate of the network's encoder as a share of the others'. 0: it stays as it is, its
    batch norms too, and the step is cheaper: for an encoder that has seen more than these frames.
    """

    def __post_init__(self) -> None:
        require(self.epochs >= 1, 'epochs', 'one or more', self.epochs)
        require(
            self.samples_per_epoch >= 0,
            'samples_per_epoch',
            'zero or more',
            self.samples_per_epoch,
        )
        require(self.batch_size >= 1, 'batch_size', 'one or more', self.batch_size)
        require(0 < self.learning_rate < 1, 'learning_rate', 'between 0 and 1', self.learning_rate)
        require(0 < self.decay_after <= 1, 'decay_after', 'above 0, up to 1', self.decay_after)
        for name in ('flip', 'jitter'):
            require(0 <= getattr(self, name) <= 1, name, '0 to 1', getattr(self, name))
        require(0 <= self.ema_decay < 1, 'ema_decay', '0 to below 1', self.ema_decay)
        require(self.clip_gradient >= 0, 'clip_gradient', 'zero or more', self.clip_gradient)
        require(0 <= self.encoder_rate <= 1, 'encoder_rate', '0 to 1', self.encoder_rate)


@dataclass(frozen=True)
class DayDepthConfig:
    """Stage day-depth: the teacher of Eq 15, and its depth of every day frame."""

    teacher: DepthTeacher | None = None
    """A teacher that is there already; without one, Monodepth2 is trained on the day frames."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """How it is trained."""
    init: str = ''
    """What it starts from: default (the weights that ship), imagenet, a file or folder of weights,
    or encoder:FILE for a checkpoint's encoder alone; nothing: from scratch."""


@dataclass(frozen=True)
class LabelConfig:
    """Stage label: the teacher of Eq 16, and its classes of every frame."""

    teacher: LabelTeacher | None = None
    """What labels the frames: mask2former, onnx, checkpoint or folder, with its fields."""
    batch_size: int = 4
    """Frames a time."""

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, 'batch_size', 'one or more', self.batch_size)


@dataclass(frozen=True)
class DistilConfig:
    """Stage distil: the joint training of Eq 18."""

    light: bool = True
    """Whether the network has the light enhancement module."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """How it is trained."""
    init: str = ''
    """What it starts from: default (the weights that ship), imagenet, day-depth (what that stage
    trained), a file or folder of weights (with the PoseNet that lies beside a checkpoint), or
    encoder:FILE for a checkpoint's encoder alone; nothing: from scratch."""


@dataclass(frozen=True)
class ExportConfig:
    """Stage export: the deploy graph."""

    precision: str = 'fp32'
    """What the graph computes in: fp32 or fp16."""
    half_weights: bool = False
    """Store the weights of an fp32 graph as half: half the file."""

    def __post_init__(self) -> None:
        choices = ('fp32', 'fp16')
        require(self.precision in choices, 'precision', 'fp32 or fp16', self.precision)


@dataclass(frozen=True)
class LabelFreeConfig:
    """The paper's method from recordings to a deploy graph, without a label."""

    name: str
    """What the model is called; goes into the checkpoint and the deploy graph."""
    out: Path
    """The run's folder. Training goes on from what is there."""
    training_data: str
    """One sentence for the model card and the deploy graph: what the network has seen."""
    day: tuple[FrameSource, ...] = ()
    """Where the day frames come from: a path, or kind and fields."""
    night: tuple[FrameSource, ...] = ()
    """Where the night frames come from."""
    validation: tuple[FrameSource, ...] = ()
    """Drives with ground truth (kinds drives and simulation) that the network is scored on after
    every epoch; may be none."""
    validate_frames: int = 60
    """Validation frames a condition, spread evenly."""
    height: int = 320
    """Height of the network's pictures, a multiple of 32."""
    width: int = 576
    """Width of the network's pictures, a multiple of 32."""
    variant: str = 'paper'
    """The network's variant, of the day teacher's too: paper, lite (a sixth of its
    work) or lite2 (a fifth)."""
    seed: int = 1
    """Seed of everything random."""
    weights: LossWeights = field(default_factory=LossWeights)
    """Weights of the losses. Stages whose result weighs nothing are left out."""
    options: LossOptions = field(default_factory=LossOptions)
    """How the losses are computed."""
    frames: FramesConfig = field(default_factory=FramesConfig)
    """Stage frames."""
    translate: TranslateConfig = field(default_factory=TranslateConfig)
    """Stage translate."""
    day_depth: DayDepthConfig = field(default_factory=DayDepthConfig)
    """Stage day-depth."""
    label: LabelConfig = field(default_factory=LabelConfig)
    """Stage label."""
    distil: DistilConfig = field(default_factory=DistilConfig)
    """Stage distil."""
    export: ExportConfig = field(default_factory=ExportConfig)
    """Stage export."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """The machine."""

    def __post_init__(self) -> None:
        require(bool(self.name), 'name', 'a name', self.name)
        for name in ('height', 'width'):
            value = getattr(self, name)
            require(value >= 64 and value % 32 == 0, name, 'a multiple of 32 from 64 on', value)
        require(self.variant in VARIANTS, 'variant', ' or '.join(VARIANTS), self.variant)
        require(self.validate_frames > 0, 'validate_frames', 'above zero', self.validate_frames)
        teacher = self.day_depth.teacher
        if teacher is not None and teacher.affine and self.weights.depth_distillation:
            require(
                self.options.teacher_depth == 'affine',
                'options.teacher_depth',
                f'affine for the teacher {teacher.kind}, whose depth has no zero',
                self.options.teacher_depth,
            )
