"""Configuration of training with ground truth."""

from dataclasses import dataclass
from pathlib import Path

from dsn_core.errors import require
from dsn_core.models.variants import VARIANTS

__all__ = ['PhaseConfig', 'SupervisedConfig']


@dataclass(frozen=True)
class PhaseConfig:
    """One phase of training: pictures of one size. Small ones first saves most of the time."""

    height: int
    """Height of the pictures, a multiple of 32."""
    width: int
    """Width of the pictures, a multiple of 32."""
    batch_size: int
    """Samples a step."""
    samples: int
    """Samples in all."""
    learning_rate: float
    """Highest learning rate; warmed up over the first 5 % and then lowered by a half cosine."""
    light: bool = True
    """Whether the light module takes part. It is a third of the work: a phase before it may do
    without, and it then begins as no change of the picture."""

    encoder_rate: float = 1.0
    """Learning rate of the encoder as a share of the others'. 0: it stays as it is, and the step
    is several times faster. Features that real pictures taught stay those of real pictures."""

    def __post_init__(self) -> None:
        require(0 <= self.encoder_rate <= 1, 'encoder_rate', '0 to 1', self.encoder_rate)
        for name in ('height', 'width'):
            value = getattr(self, name)
            require(value > 0 and value % 32 == 0, name, 'a multiple of 32', value)
        for name in ('batch_size', 'samples'):
            value = getattr(self, name)
            require(value > 0, name, 'above zero', value)
        require(
            0 < self.learning_rate < 1,
            'learning_rate',
            'between 0 and 1',
            self.learning_rate,
        )


@dataclass(frozen=True)
class SupervisedConfig:
    """Training with the ground truth of simulated drives."""

    name: str
    """What the model is called; goes into the checkpoint and the deploy graph."""
    data: tuple[Path, ...]
    """Folders of drives that dsn simulate wrote; their split says which are trained on."""
    out: Path
    """The run's folder: checkpoints, metrics, pictures. Training resumes from what is there."""
    phases: tuple[PhaseConfig, ...]
    """What to train on, in this order."""
    training_data: str
    """One sentence for the model card and the deploy graph: what the network has seen."""
    variant: str = 'paper'
    """The network's variant: paper, lite (a sixth of its work) or lite2 (a fifth)."""
    init: str = ''
    """What it starts from: default (the weights that ship), imagenet, a file or folder of weights,
    or encoder:FILE for a checkpoint's encoder alone; nothing: from scratch."""
    freeze_encoder_norms: bool = False
    """Keep the statistics of the encoder's batch norms, those of the pictures it started from."""
    focal_length: float = 320.0
    """Depth is learnt as if every camera had this focal length, pixels at the last phase's
    width: a lens of twice the focal length sees the same picture of a scene twice as far away."""
    min_depth: float = 0.5
    """Smallest depth that the network can say, metres at ``focal_length``."""
    max_depth: float = 150.0
    """Largest depth that the network can say, metres at ``focal_length``."""
    depth_weight: float = 1.0
    """Weight of the mean absolute error of log depth."""
    depth_gradient_weight: float = 0.5
    """Weight of the error of log depth's gradients, beside ``depth_weight`` and under it."""
    label_weight: float = 1.0
    """Weight of the cross-entropy."""
    camera_strength: float = 0.7
    """Photometric augmentation at the end of its ramp, 0 to 1."""
    camera_ramp: float = 0.5
    """Share of all samples over which photometric augmentation rises from nothing."""
    texture_strength: float = 0.0
    """How strongly surfaces are grained at random, so that fineness says nothing of distance, 0 to
    1."""
    max_zoom: float = 1.8
    """Largest zoom of the random window."""
    weight_decay: float = 0.01
    """AdamW's weight decay."""
    ema_decay: float = 0.998
    """Decay a step of the averaged weights, which are the ones that are kept; 0: no average."""
    precision: str = 'bf16'
    """bf16 (mixed) or fp32."""
    workers: int = 1
    """Processes that read and augment frames."""
    validate_frames: int = 60
    """Validation frames a condition, spread evenly over the validation drives."""
    save_minutes: float = 5.0
    """How often the state is saved for resuming, minutes."""
    seed: int = 1
    """Seed of everything random."""

    def __post_init__(self) -> None:
        require(bool(self.name), 'name', 'a name', self.name)
        require(self.variant in VARIANTS, 'variant', ' or '.join(VARIANTS), self.variant)
        require(len(self.data) > 0, 'data', 'at least one folder', self.data)
        require(len(self.phases) > 0, 'phases', 'at least one phase', self.phases)
        lights = [phase.light for phase in self.phases]
        require(lights == sorted(lights), 'phases', 'with light from one phase on', lights)
        require(0 < self.min_depth < self.max_depth, 'min_depth', '0 < min < max', self.min_depth)
        require(self.focal_length > 0, 'focal_length', 'above zero', self.focal_length)
        require(
            0 <= self.texture_strength <= 1, 'texture_strength', '0 to 1', self.texture_strength
        )
        require(0 <= self.camera_strength <= 1, 'camera_strength', '0 to 1', self.camera_strength)
        require(0 <= self.camera_ramp <= 1, 'camera_ramp', '0 to 1', self.camera_ramp)
        require(1 <= self.max_zoom <= 8, 'max_zoom', '1 to 8', self.max_zoom)
        require(0 <= self.ema_decay < 1, 'ema_decay', '0 to below 1', self.ema_decay)
        require(self.precision in ('bf16', 'fp32'), 'precision', 'bf16 or fp32', self.precision)
        require(self.workers >= 0, 'workers', 'zero or more', self.workers)
        require(self.save_minutes > 0, 'save_minutes', 'above zero', self.save_minutes)
        require(self.validate_frames > 0, 'validate_frames', 'above zero', self.validate_frames)
