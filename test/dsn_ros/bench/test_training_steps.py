"""The steps that are compared do the same work: they begin with the same loss, and learn."""

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('lightning', reason='lightning is not installed')

from dsn_ros.bench.training_steps import PLAIN, PROJECT, VIEWS, steps

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.mark.parametrize('stage', VIEWS)
@pytest.mark.slow
def test_both_begin_with_the_same_loss_and_learn(stage):
    losses = {}
    made = steps(stage, 64, 64, 2, 'cpu')
    for expected in (PROJECT, PLAIN):
        torch.manual_seed(3)  # the same fresh network for both
        name, step = next(made)
        assert name == expected
        losses[name] = [step() for _ in range(4)]
    # In bf16 the one, and views normalised together; in fp32 the other, each view by itself.
    assert losses[PROJECT][0] == pytest.approx(losses[PLAIN][0], rel=0.05)
    for each in losses.values():
        assert each[-1] < each[0]
