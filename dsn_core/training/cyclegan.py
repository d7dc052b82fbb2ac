"""CycleGAN ([47]) as a Lightning module: both directions trained at once, from unpaired crops.

Domain ``day`` has a generator that makes day of night and a discriminator that tells made day
from real; ``night`` likewise. With x day, y night, G making night and F making day, [47]'s
objective by the names of its terms, each a mean over pixels (or patches) and pictures:

- gan_night (D_night(G(x)) - 1)², gan_day (D_day(F(y)) - 1)²: least squares, for the generators;
- cycle_day |F(G(x)) - x|, cycle_night |G(F(y)) - y|; identity_day |F(x) - x|, identity_night;
- discriminator_day ((D_day(x) - 1)² + D_day(pool of F(y))²) / 2, discriminator_night; halved, so
  that the discriminators learn more slowly than the generators.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dsn_core.models.cyclegan import Discriminator, Generator
from dsn_core.training.not_finite import require_finite
from dsn_core.training.run_log import RunLog
from dsn_core.training.trainer_config import TrainerConfig
from dsn_core.training.translate_config import TranslateConfig

__all__ = ['CycleGanStage', 'ImagePool', 'to_picture']

OTHER = {'day': 'night', 'night': 'day'}
"""Each domain, and the one that it is made of."""
_BETAS = (0.5, 0.999)
_POOLS = 'pools'  # entry of the state that is saved
_FIGURE_STEPS = 100  # about how many steps the figures of the last losses are a mean of


class ImagePool:
    """Generated pictures that a discriminator is shown again ([47], after Shrivastava 2017).

    It keeps the first ``size`` and hands them out as they come. After that a picture is either
    handed out as it comes, or takes the place of a kept one, which is handed out instead: each
    every other time.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.kept: list[Tensor] = []

    def exchange(self, made: Tensor, seeds: Sequence[Sequence[int]]) -> Tensor:
        """Pictures ``made`` (B, C, h, w) → as many, of which some were made earlier.

        ``seeds`` decide, one for each picture, so that a run that was resumed decides alike.
        """
        shown = []
        for picture, seed in zip(made, seeds, strict=True):
            if len(self.kept) < self.size:
                self.kept.append(picture.clone())
            elif self.size:
                rng = np.random.default_rng(seed)
                if rng.random() < 0.5:
                    place = int(rng.integers(self.size))
                    kept, self.kept[place] = self.kept[place], picture.clone()
                    picture = kept
            shown.append(picture.to(made))
        return torch.stack(shown)


class CycleGanStage(lightning.LightningModule):
    """Both generators, both discriminators and their two Adams, for ``fit``.

    A batch is one of ``UnpairedCrops``. The learning rate is constant for ``config.epochs`` of
    ``epoch_steps`` steps and then falls linearly, step by step, to zero after ``decay_epochs``.
    ``settings.channels_last`` is not followed: with instance normalisation it is slower.
    Raises NotFiniteError naming the loss, the step and the frames if a loss is not finite.
    """

    optimizers_per_step = 2
    losses: Tensor
    """The terms of ``loss_names``, averaged over about the last 100 steps."""

    def __init__(
        self,
        config: TranslateConfig,
        epoch_steps: int,
        settings: TrainerConfig,
        seed: int,
        work: Path,
    ) -> None:
        """``work`` is where a batch whose loss is not finite is left."""
        super().__init__()
        self.automatic_optimization = False
        self.generators = nn.ModuleDict({d: Generator(config.width, config.blocks) for d in OTHER})
        self.discriminators = nn.ModuleDict({d: Discriminator(config.width) for d in OTHER})
        self._weights = {
            'gan': 1.0,
            'cycle': config.cycle_weight,
            **({'identity': config.identity_weight} if config.identity_weight > 0 else {}),
        }
        self.loss_names = [f'{t}_{d}' for t in (*self._weights, 'discriminator') for d in OTHER]
        self.register_buffer('losses', torch.zeros(len(self.loss_names)))
        self._pools = {d: ImagePool(config.pool) for d in OTHER}
        self._config = config
        self._epoch_steps = epoch_steps
        self._passes = settings.passes
        self._seed = seed
        self._work = work
        self._shown: dict[str, Tensor] = {}

    @property
    def step(self) -> int:
        """Steps done; Lightning counts those of each optimiser."""
        return self.global_step // self.optimizers_per_step

    def learning_rate(self, step: int) -> float:
        """What step ``step``, from 0 on, is taken with."""
        decay_steps = self._config.decay_epochs * self._epoch_steps
        to_go = self._config.epochs * self._epoch_steps + decay_steps - step
        return self._config.learning_rate * (min(1.0, to_go / decay_steps) if decay_steps else 1.0)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        rate = self._config.learning_rate
        return [
            torch.optim.Adam(networks.parameters(), lr=rate, betas=_BETAS)
            for networks in (self.generators, self.discriminators)
        ]

    def training_step(self, batch: dict[str, Any], index: int) -> None:
        real = {d: batch[d] for d in OTHER}
        begins, ends = index % self._passes == 0, (index + 1) % self._passes == 0
        optimizers = self.optimizers()
        assert isinstance(optimizers, list)
        if begins:
            for optimizer in optimizers:
                optimizer.zero_grad()
                for group in optimizer.param_groups:
                    group['lr'] = self.learning_rate(self.step)

        # The generators learn from the discriminators as these were before their own step, and
        # the other way round: the order does not matter, so both may be taken after all passes.
        self.discriminators.requires_grad_(False)
        made = self.translate(real)
        terms = self.generator_terms(real, made)
        self._require_finite(terms, batch)
        weighted = [self._weights[name.split('_')[0]] * term for name, term in terms.items()]
        self.manual_backward(torch.stack(weighted).sum() / self._passes)
        self.discriminators.requires_grad_(True)

        judged = {d: self._exchange(d, made[d], batch['index']) for d in OTHER}
        of_discriminators = self.discriminator_terms(real, judged)
        self._require_finite(of_discriminators, batch)
        self.manual_backward(torch.stack(list(of_discriminators.values())).sum() / self._passes)

        terms = {n: t.detach() for n, t in (terms | of_discriminators).items()}
        values = torch.stack([terms[name] for name in self.loss_names])
        self.losses.lerp_(values, 1 / min(self.step + 1, _FIGURE_STEPS))
        self.log_dict(terms, prog_bar=True, batch_size=len(batch['index']))
        self._shown = {d: pictures[:1] for d, pictures in real.items()}
        if ends:
            for optimizer in optimizers:
                optimizer.step()

    def translate(self, real: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Pictures (B, 3, h, w) of both domains in [-1, 1] → made ones, by the domain made."""
        return {d: self.generators[d](real[o]).float() for d, o in OTHER.items()}

    def generator_terms(
        self, real: Mapping[str, Tensor], made: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """What the generators are to lower: scalars in fp32, before their weights."""
        terms = {f'gan_{d}': _squared_to(self.discriminators[d](made[d]), 1) for d in OTHER}
        again = self.translate(made)
        terms |= {f'cycle_{d}': (again[d] - real[d]).abs().mean() for d in OTHER}
        if 'identity' in self._weights:
            same = {d: self.generators[d](real[d]).float() for d in OTHER}
            terms |= {f'identity_{d}': (same[d] - real[d]).abs().mean() for d in OTHER}
        return terms

    def discriminator_terms(
        self, real: Mapping[str, Tensor], made: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """What the discriminators are to lower: scalars in fp32."""
        terms = {}
        for domain, judge in self.discriminators.items():
            of_real = _squared_to(judge(real[domain]), 1)
            of_made = _squared_to(judge(made[domain]), 0)
            terms[f'discriminator_{domain}'] = (of_real + of_made) / 2
        return terms

    def last_losses(self) -> dict[str, float]:
        """Every term's mean over about the last 100 steps."""
        return dict(zip(self.loss_names, self.losses.tolist(), strict=True))

    @torch.no_grad()
    def end_of_epoch(self, step: int, log: RunLog, name: str) -> None:
        """Show a crop of each domain: as it is, translated, and translated back."""
        if not self._shown:
            return
        made = self.translate(self._shown)
        again = self.translate(made)
        rows = {d: (self._shown[d], made[o], again[d]) for d, o in OTHER.items()}
        pictures = {d: to_picture(torch.cat(row, dim=3))[0] for d, row in rows.items()}
        log.pictures(name, step, pictures)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the pools of all processes, which must all call this."""
        pools = {}
        for domain, pool in self._pools.items():
            kept = torch.stack(pool.kept) if pool.kept else torch.empty(0)
            gathered = self.all_gather(kept.to(self.device))
            assert isinstance(gathered, Tensor)
            pools[domain] = gathered if self.trainer.world_size > 1 else gathered[None]
        checkpoint[_POOLS] = pools

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take this process's pools back; a process that is new takes those of another."""
        for domain, kept in checkpoint[_POOLS].items():  # (processes, n, 3, h, w)
            self._pools[domain].kept = list(kept[self.global_rank % len(kept)])

    def _exchange(self, domain: str, made: Tensor, indices: Tensor) -> Tensor:
        which = list(OTHER).index(domain)
        seeds = [(self._seed, i, 1 + which) for i in indices.tolist()]
        return self._pools[domain].exchange(made.detach(), seeds)

    def _require_finite(self, terms: Mapping[str, Tensor], batch: Mapping[str, Any]) -> None:
        remedy = 'lower translate.learning_rate'
        require_finite(terms, batch, self._work, self.step, remedy)


def _squared_to(scores: Tensor, target: float) -> Tensor:
    return (scores.float() - target).square().mean()


def to_picture(images: Tensor) -> NDArray[np.uint8]:
    """(B, 3, H, W) in [-1, 1] → (B, H, W, 3) uint8 RGB, rounded."""
    values = ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return values.permute(0, 2, 3, 1).contiguous().cpu().numpy()
