"""The paper's pipeline: frames → translate → day-depth → label → distil → export.

Every stage is a folder of the run (see ``run``): done once, resumed after a kill at any moment,
redone when what it is made from changes. A stage whose result weighs nothing in the losses is
left out; with the right weights this trains the paper's baselines as well.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dsn_core.checkpoint import load_pose, save_checkpoint, save_pose
from dsn_core.data.drives import Drive
from dsn_core.errors import ConfigError
from dsn_core.export import export
from dsn_core.losses import LossWeights, TotalLoss
from dsn_core.metadata import Precision
from dsn_core.pretrained import initialise
from dsn_core.training import world
from dsn_core.training.fit import fit
from dsn_core.training.frame_store import FrameStore, Thinning, store_frames
from dsn_core.training.joint import JointStage
from dsn_core.training.label_free_config import LabelFreeConfig, ScheduleConfig
from dsn_core.training.pairs import Domain, Pairs
from dsn_core.training.plain import plain
from dsn_core.training.plan import DAY_ONLY, STAGES, Plan
from dsn_core.training.pseudo_labels import write_pseudo_depth, write_pseudo_labels
from dsn_core.training.run import WORK, Run, StageResult
from dsn_core.training.run_log import RunLog
from dsn_core.training.run_story import tell_story
from dsn_core.training.translation import translate

__all__ = ['train_label_free']

_logger = logging.getLogger(__name__)

CHECKPOINT = 'network.safetensors'
POSE = 'pose.safetensors'
GRAPH = 'model.onnx'
_START_LOGIT = -2.0  # a fresh network says disparity 0.12 everywhere
INVERSE_DEPTH = 'inverse_depth'


def train_label_free(config: LabelFreeConfig, last: str = STAGES[-1]) -> Path:
    """Do the stages up to ``last``, those that are not done yet; returns the last one's folder.

    Raises UserError naming the field, file or frame that cannot be used; KeyboardInterrupt when
    stopped, FloatingPointError naming the term that is not finite. Run again, it goes on.
    """
    world.join()
    if last not in STAGES:
        raise ConfigError(f'stage must be one of {", ".join(STAGES)}, got {last!r}')
    plan = Plan(config)
    if last not in plan.stages:
        raise ConfigError(f'stage {last}: nothing of it has a weight, so it is not needed')
    pipeline = _Pipeline(config, plan)
    for name in plan.stages[: plan.stages.index(last) + 1]:
        pipeline.do(name)
    return pipeline.results[last].folder


def _told(metrics: Mapping[str, float]) -> str:
    """The figures worth a line: sums and scores, from what to what."""
    whole = [k for k in metrics if '/' not in k or k.startswith('validation/')]
    figures = []
    for key in whole:
        if not key.startswith('first '):
            before = metrics.get(f'first {key}')
            start = '' if before is None else f'{before:.4g} → '
            figures.append(f'{key} {start}{metrics[key]:.4g}')
    return ''.join(f'\n  {figure}' for figure in figures)


class _Pipeline:
    """The stages, and what is there of the run so far."""

    def __init__(self, config: LabelFreeConfig, plan: Plan) -> None:
        self.config = config
        self.plan = plan
        self.run = Run(config.out)
        self.log = RunLog(config.out)
        self.results: dict[str, StageResult] = {}
        self.device = world.device()
        tell_story(config)

    def do(self, name: str) -> None:
        """Do one stage; those before it are done."""
        stages = {
            'frames': (self._frames_inputs, self._frames),
            'translate': (self._translate_inputs, self._translate),
            'day-depth': (self._day_depth_inputs, self._day_depth),
            'label': (self._label_inputs, self._label),
            'distil': (self._distil_inputs, self._distil),
            'export': (self._export_inputs, self._export),
        }
        inputs, work = stages[name]
        result = self.run.stage(name, inputs, work)
        self.results[name] = result
        if result.made and not world.rank():
            _logger.info('%s: done%s', name, _told(result.metrics))

    # frames

    def _frames_inputs(self) -> Mapping[str, Any]:
        config = self.config
        return {
            **{d: self.plan.source_inputs(d, self.run.digests) for d in self.plan.domains},
            'size': [config.height, config.width],
            'frames': plain(config.frames),
        }

    def _frames(self, folder: Path) -> Mapping[str, float]:
        if world.rank():
            return {}
        config = self.config
        figures = {}
        kept = config.frames
        for domain in self.plan.domains:
            count = store_frames(
                getattr(config, domain),
                folder / domain,
                folder / WORK / domain,
                config.height,
                config.width,
                Thinning(kept.max_fps, kept.min_travel, kept.limit),
                kept.jpeg_quality,
            )
            figures[f'{domain}/frames'] = float(count)
        return figures

    def _store(self, domain: str) -> FrameStore:
        return FrameStore(self.results['frames'].folder / domain)

    def _frames_digest(self, domain: str) -> str:
        return self.run.digest(self.results['frames'].folder / domain)

    # translate

    def _translate_inputs(self) -> Mapping[str, Any]:
        config = self.config
        generators = config.translate.generators
        return {
            'day': self._frames_digest('day'),
            'night': self._frames_digest('night'),
            'translate': plain(config.translate),
            'generators': self.plan.file_digest(generators, self.run.digests),
            'seed': config.seed,
        }

    def _translate(self, folder: Path) -> Mapping[str, float]:
        config = self.config
        day, night = self._store('day'), self._store('night')
        return translate(
            day, night, folder, config.translate, config.trainer, config.seed, self.log
        )

    # day-depth

    def _day_depth_inputs(self) -> Mapping[str, Any]:
        config = self.config
        teacher = config.day_depth.teacher
        inputs: dict[str, Any] = {'day': self._frames_digest('day')}
        if teacher is not None:
            return {**inputs, 'teacher': plain(teacher), 'is': teacher.fingerprint()}
        return {
            **inputs,
            'day_depth': plain(config.day_depth),
            'init': self.plan.init_digest(config.day_depth.init, self.run.digests),
            'weights': plain(self._day_weights()),
            'options': plain(config.options),
            'seed': config.seed,
        }

    def _day_weights(self) -> LossWeights:
        weights = self.config.weights
        return LossWeights(
            **{**DAY_ONLY, 'smoothness': weights.smoothness, 'speed': weights.speed}
        )

    def _day_depth(self, folder: Path) -> Mapping[str, float]:
        from dsn_core.teachers.checkpoint_teacher import CheckpointDepthTeacher

        config = self.config
        figures: Mapping[str, float] = {}
        teacher = config.day_depth.teacher
        if teacher is None:
            domains = (Domain('day', self._store('day')),)
            day = config.day_depth
            weights = self._day_weights()
            figures = self._train(folder, domains, weights, day.schedule, day.init, light=False)
            teacher = CheckpointDepthTeacher(folder / CHECKPOINT)
        size = config.label.batch_size
        write_pseudo_depth(self._store('day'), teacher, folder / INVERSE_DEPTH, size, self.device)
        return figures

    # label

    def _label_inputs(self) -> Mapping[str, Any]:
        teacher = self.plan.label_teacher
        return {
            **{d: self._frames_digest(d) for d in self.plan.labelled},
            'teacher': plain(teacher),
            'is': teacher.fingerprint(),
        }

    def _label(self, folder: Path) -> Mapping[str, float]:
        stores = {d: self._store(d) for d in self.plan.labelled}
        size = self.config.label.batch_size
        return write_pseudo_labels(stores, self.plan.label_teacher, folder, size, self.device)

    # distil

    def _distil_inputs(self) -> Mapping[str, Any]:
        config = self.config
        before = ('translate', 'day-depth', 'label')
        return {
            **{f'frames {d}': self._frames_digest(d) for d in self.plan.domains},
            **{s: self.results[s].digest for s in before if s in self.results},
            'weights': plain(config.weights),
            'options': plain(config.options),
            'distil': plain(config.distil),
            'init': self.plan.init_digest(config.distil.init, self.run.digests),
            'seed': config.seed,
        }

    def _distil(self, folder: Path) -> Mapping[str, float]:
        config = self.config
        domains = tuple(self._domain(d) for d in self.plan.domains)
        how = config.distil
        return self._train(folder, domains, config.weights, how.schedule, how.init, how.light)

    def _domain(self, name: str) -> Domain:
        def made(stage: str, *parts: str) -> Path | None:
            result = self.results.get(stage)
            return None if result is None else result.folder.joinpath(*parts)

        other = {'day': 'night', 'night': 'day'}[name]
        synthetic = made('translate', f'synthetic_{other}')
        return Domain(
            name,
            self._store(name),
            synthetic if f'synthetic_{other}' in self.plan.needs else None,
            made('label', name) if name in self.plan.labelled else None,
            made('day-depth', INVERSE_DEPTH) if name == 'day' else None,
        )

    def _train(
        self,
        folder: Path,
        domains: tuple[Domain, ...],
        weights: LossWeights,
        schedule: ScheduleConfig,
        init: str,
        light: bool,
    ) -> Mapping[str, float]:
        """Train a network and leave it in ``folder``; returns its first and last figures."""
        config = self.config
        name = folder.name
        per_epoch = schedule.samples_per_epoch or max(len(d.frames.targets) for d in domains)
        epoch_steps = max(1, per_epoch // schedule.batch_size)
        steps = schedule.epochs * epoch_steps
        if not (folder / CHECKPOINT).exists():
            torch.manual_seed(config.seed)
            info = self.plan.info(domains, weights, light)
            network = info.build()
            stage = JointStage(
                network,
                TotalLoss(weights, config.options),
                schedule,
                steps,
                config.seed,
                info,
                folder / WORK,
                config.trainer.channels_last,
                (self._validation_drives(), config.validate_frames),
            )
            if not (folder / WORK / 'last.ckpt').exists():
                self._start(name, stage, init)
                self.log.resume(name, -1)
                stage.score(0, self.log, name)
            fit(
                stage,
                Pairs(domains, schedule, config.seed, steps * schedule.batch_size),
                folder=folder,
                steps=steps,
                batch_size=schedule.batch_size,
                epoch_steps=epoch_steps,
                settings=config.trainer,
                log=self.log,
            )
            if not world.rank():
                self._keep(folder, stage, info)
            world.barrier()
        return self.log.summary(name, epoch_steps)

    def _start(self, name: str, stage: JointStage, init: str) -> None:
        """Give a fresh stage the weights that it starts from."""
        stage.network.start_at(_START_LOGIT)
        day = self.results['day-depth'].folder if init == 'day-depth' else None
        source = init if day is None else str(day / CHECKPOINT)
        for line in initialise(stage.network, stage.pose, source):
            _logger.info('%s: %s', name, line)
        if day is not None and stage.pose is not None:
            stage.pose.load_state_dict(load_pose(day / POSE).state_dict())
            _logger.info('%s: PoseNet: from %s', name, day / POSE)

    def _validation_drives(self) -> list[Drive]:
        """The drives to score on: the first process's work, who may have to render them."""
        return [] if world.rank() else self.plan.validation_drives(self.config.out)

    def _keep(self, folder: Path, stage: JointStage, info: Any) -> None:
        if stage.pose is not None:
            save_pose(folder / POSE, stage.pose)
        # Last: it says that the training is whole.
        save_checkpoint(folder / CHECKPOINT, stage.best, info)

    # export

    def _export_inputs(self) -> Mapping[str, Any]:
        return {
            'distil': self.results['distil'].digest,
            'export': plain(self.config.export),
            'name': self.config.name,
            'training_data': self.config.training_data,
        }

    def _export(self, folder: Path) -> Mapping[str, float]:
        if not world.rank():
            checkpoint = self.results['distil'].folder / CHECKPOINT
            how = self.config.export
            precision: Precision = 'fp16' if how.precision == 'fp16' else 'fp32'
            export(checkpoint, folder / GRAPH, precision, half_weights=how.half_weights)
        return {}
