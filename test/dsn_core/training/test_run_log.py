"""What a run tells: every step once, whole lines only, and the same in TensorBoard."""

import numpy as np
import pytest

pytest.importorskip('lightning', reason='lightning is not installed')
pytest.importorskip('tensorboard', reason='tensorboard is not installed')

from dsn_core.training.run_log import RunLog


def test_a_resumed_stage_tells_every_step_once(tmp_path):
    log = RunLog(tmp_path)
    for step in (1, 2, 3):
        log.figures('a', step, {'total': float(step)})
        log.figures('b', step, {'total': 10.0 * step})
    with log.path.open('a') as file:
        file.write('{"stage": "a", "step": 4, "tot')  # killed here
    again = RunLog(tmp_path)
    again.resume('a', 2)
    again.figures('a', 3, {'total': 33.0})
    assert [(r['step'], r['total']) for r in again.rows('a')] == [(1, 1.0), (2, 2.0), (3, 33.0)]
    assert [r['step'] for r in again.rows('b')] == [1, 2, 3]


def test_summary_has_the_first_and_the_last_figures(tmp_path):
    log = RunLog(tmp_path)
    log.figures('b', 1, {'total': 99.0})
    log.figures('a', 0, {'error': 0.5})
    for step, total in ((2, 8.0), (4, 6.0), (6, 7.0), (8, float('nan')), (10, 3.0), (12, 1.0)):
        log.figures('a', step, {'total': total})
        if step % 4 == 0:
            log.figures('a', step, {'error': 1 / step})
    assert log.summary('a', epoch_steps=4) == {
        'first error': 0.5,
        'first total': 7.0,
        'error': 1 / 12,
        'total': 2.0,
    }
    assert log.summary('c', epoch_steps=4) == {}


def test_figures_and_pictures_reach_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = RunLog(tmp_path)
    log.figures('a', 7, {'total': 3.5})
    log.pictures('a', 7, {'day/depth': np.full((4, 6, 3), 200, np.uint8)})
    events = EventAccumulator(str(tmp_path / 'tensorboard' / 'a'))
    events.Reload()
    (scalar,) = events.Scalars('total')
    assert (scalar.step, scalar.value) == (7, 3.5)
    (image,) = events.Images('day/depth')
    assert (image.step, image.height, image.width) == (7, 4, 6)
