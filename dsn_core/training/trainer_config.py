"""What a trainer needs to know of the machine."""

from dataclasses import dataclass

from dsn_core.errors import require

__all__ = ['TrainerConfig']


@dataclass(frozen=True)
class TrainerConfig:
    """How to train on this machine; no field changes what is learnt, but for rounding."""

    precision: str = 'bf16'
    """bf16 (mixed; losses and poses stay in fp32) or fp32."""
    channels_last: bool = True
    """Store pictures with their channels last, which most convolutions are faster with (those of
    the translation are not, and it keeps to the other order)."""
    passes: int = 1
    """Passes that a batch is split into, their gradients added up: saves memory, costs time."""
    workers: int = 2
    """Processes that read and augment frames, for each training process; 0: none."""
    save_minutes: float = 5.0
    """How often the state is saved for resuming, minutes."""
    log_steps: int = 20
    """Steps whose mean makes one line of metrics.jsonl."""

    def __post_init__(self) -> None:
        require(self.precision in ('bf16', 'fp32'), 'precision', 'bf16 or fp32', self.precision)
        require(self.passes >= 1, 'passes', 'one or more', self.passes)
        require(self.workers >= 0, 'workers', 'zero or more', self.workers)
        require(self.save_minutes >= 0, 'save_minutes', 'zero or more', self.save_minutes)
        require(self.log_steps >= 1, 'log_steps', 'one or more', self.log_steps)
