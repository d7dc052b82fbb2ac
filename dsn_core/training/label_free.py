"""The paper's pipeline: frames → translate → day-depth → label → distil → export.

Every stage is a folder of the run (see ``run``): done once, resumed after a kill at any moment,
redone when what it is made from changes. A stage whose result weighs nothing in the losses is
left out; with the right weights this trains the paper's baselines as well.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsn_core.data.drives import Drive
from dsn_core.errors import ConfigError
from dsn_core.export import export
from dsn_core.losses import LossWeights
from dsn_core.metadata import Precision
from dsn_core.processes import Runner
from dsn_core.training import world
from dsn_core.training.frame_store import FrameStore, Thinning, store_frames
from dsn_core.training.label_free_config import LabelFreeConfig, ScheduleConfig
from dsn_core.training.network_training import CHECKPOINT, NetworkTraining, train_network
from dsn_core.training.pairs import Domain
from dsn_core.training.plain import plain
from dsn_core.training.plan import STAGES, Plan
from dsn_core.training.pseudo_labels import write_pseudo_depth, write_pseudo_labels
from dsn_core.training.run import WORK, Run, StageResult
from dsn_core.training.run_log import RunLog
from dsn_core.training.run_story import tell_story
from dsn_core.training.shared_stages import SHARED, SharedStages
from dsn_core.training.translation import translate

__all__ = ['train_label_free']

_logger = logging.getLogger(__name__)

GRAPH = 'model.onnx'
INVERSE_DEPTH = 'inverse_depth'


def train_label_free(
    config: LabelFreeConfig,
    last: str = STAGES[-1],
    shared: SharedStages | None = None,
    runner: Runner | None = None,
) -> Path:
    """Do the stages up to ``last``, those that are not done yet; returns the last one's folder.

    ``shared``: where this run keeps its stages before ``distil``, together with others. The seed
    of the configuration is then that of ``distil`` alone. ``runner``: whose workers label and
    translate the frames, in this process's stead.

    Raises UserError naming the field, file or frame that cannot be used; KeyboardInterrupt when
    stopped, NotFiniteError naming the term that is not finite. Run again, it goes on.
    """
    world.join()
    if last not in STAGES:
        raise ConfigError(f'stage must be one of {", ".join(STAGES)}, got {last!r}')
    plan = Plan(config)
    if last not in plan.stages:
        raise ConfigError(f'stage {last}: nothing of it has a weight, so it is not needed')
    plan.require_starts()
    pipeline = _Pipeline(config, plan, shared, runner)
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

    def __init__(
        self,
        config: LabelFreeConfig,
        plan: Plan,
        shared: SharedStages | None,
        runner: Runner | None,
    ) -> None:
        self.config = config
        self.plan = plan
        self.shared = shared
        self.runner = runner
        self.run = Run(config.out, shared.digests if shared else None)
        self.logs: dict[Path, RunLog] = {}
        self.results: dict[str, StageResult] = {}
        # What the stages before distil hold, which may be more than this run asks for.
        self.stored = shared.domains(config) if shared else plan.domains
        self.labelled = shared.labelled(config) if shared else plan.labelled
        self.early_seed = shared.seed if shared else config.seed
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
        result = self._run(name).stage(name, inputs, work)
        self.results[name] = result
        if result.made and not world.rank():
            _logger.info('%s: done%s', name, _told(result.metrics))

    def _run(self, stage: str) -> Run:
        """The run that a stage belongs to."""
        if self.shared is None or stage not in SHARED:
            return self.run
        return Run(self.shared.home(self.config, stage), self.run.digests)

    def _log(self, folder: Path) -> RunLog:
        """The log of the run that a stage's folder belongs to."""
        return self.logs.setdefault(folder.parent, RunLog(folder.parent))

    # frames

    def _frames_inputs(self) -> Mapping[str, Any]:
        config = self.config
        return {
            **{d: self.plan.source_inputs(d, self.run.digests) for d in self.stored},
            'size': [config.height, config.width],
            'frames': plain(config.frames),
        }

    def _frames(self, folder: Path) -> Mapping[str, float]:
        if world.rank():
            return {}
        config = self.config
        figures = {}
        kept = config.frames
        for domain in self.stored:
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
            'seed': self.early_seed,
        }

    def _translate(self, folder: Path) -> Mapping[str, float]:
        config = self.config
        day, night = self._store('day'), self._store('night')
        return translate(
            day,
            night,
            folder,
            config.translate,
            config.trainer,
            self.early_seed,
            self._log(folder),
            self.runner,
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
            'variant': config.variant,
            'init': self.plan.init_digest(config.day_depth.init, self.run.digests),
            'weights': plain(self.plan.day_weights),
            'options': plain(config.options),
            'seed': self.early_seed,
        }

    def _day_depth(self, folder: Path) -> Mapping[str, float]:
        from dsn_core.teachers.checkpoint_teacher import CheckpointDepthTeacher

        config = self.config
        figures: Mapping[str, float] = {}
        teacher = config.day_depth.teacher
        if teacher is None:
            domains = (Domain('day', self._store('day')),)
            day = config.day_depth
            weights = self.plan.day_weights
            figures = self._train(
                folder, domains, weights, day.schedule, day.init, False, self.early_seed
            )
            teacher = CheckpointDepthTeacher(folder / CHECKPOINT)
        size, out = config.label.batch_size, folder / INVERSE_DEPTH
        write_pseudo_depth(self._store('day'), teacher, out, size, self.device, self.runner)
        return figures

    # label

    def _label_inputs(self) -> Mapping[str, Any]:
        teacher = self.plan.label_teacher
        return {
            **{d: self._frames_digest(d) for d in self.labelled},
            'teacher': plain(teacher),
            'is': teacher.fingerprint(),
        }

    def _label(self, folder: Path) -> Mapping[str, float]:
        stores = {d: self._store(d) for d in self.labelled}
        size, teacher = self.config.label.batch_size, self.plan.label_teacher
        return write_pseudo_labels(stores, teacher, folder, size, self.device, self.runner)

    # distil

    def _distil_inputs(self) -> Mapping[str, Any]:
        config = self.config
        before = ('translate', 'day-depth')
        return {
            **{f'frames {d}': self._frames_digest(d) for d in self.plan.domains},
            **{s: self.results[s].digest for s in before if s in self.results},
            **self._label_digests(),
            'weights': plain(config.weights),
            'options': plain(config.options),
            'distil': plain(config.distil),
            'variant': config.variant,
            'init': self.plan.init_digest(config.distil.init, self.run.digests),
            'seed': config.seed,
        }

    def _label_digests(self) -> Mapping[str, str]:
        if not self.plan.labelled:
            return {}
        result = self.results['label']
        if self.shared is None:
            return {'label': result.digest}
        # Labels that only others asked for decide nothing here.
        return {f'label {d}': self.run.digest(result.folder / d) for d in self.plan.labelled}

    def _distil(self, folder: Path) -> Mapping[str, float]:
        config = self.config
        domains = tuple(self._domain(d) for d in self.plan.domains)
        how = config.distil
        return self._train(
            folder, domains, config.weights, how.schedule, how.init, how.light, config.seed
        )

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
        seed: int,
    ) -> Mapping[str, float]:
        """Train a network and leave it in ``folder``; returns its first and last figures."""
        log = self._log(folder)
        per_epoch = schedule.samples_per_epoch or max(len(d.frames.targets) for d in domains)
        epoch_steps = max(1, per_epoch // schedule.batch_size)
        if not (folder / CHECKPOINT).exists():
            how = NetworkTraining(
                self.plan.info(domains, weights, light),
                domains,
                weights,
                schedule,
                epoch_steps,
                seed,
                self._start(init),
                self._validation_drives(),
            )
            train_network(folder, how, self.config, log)
        return log.summary(folder.name, epoch_steps)

    def _start(self, init: str) -> str:
        """``init`` as ``initialise`` takes it."""
        if init != 'day-depth':
            return init
        return str(self.results['day-depth'].folder / CHECKPOINT)

    def _validation_drives(self) -> list[Drive]:
        """The drives to score on: the first process's work, who may have to render them."""
        shared, config = self.shared, self.config
        home = shared.home(config, 'validation') if shared else config.out
        return [] if world.rank() else self.plan.validation_drives(home)

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
