"""What ``required_inputs`` says that the weights need is what ``TotalLoss`` looks at."""

import dataclasses

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsn_core.losses import (
    Frames,
    LossInputs,
    LossWeights,
    PseudoLabels,
    TotalLoss,
    View,
    required_inputs,
)
from dsn_core.models import Perceived

FIELDS = tuple(f.name for f in dataclasses.fields(LossWeights))
EXAMPLES = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(autouse=True, scope='module')
def _one_thread():
    """Thousands of tiny operations: on a busy machine, threads wait for each other at each."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def view():
    image = torch.rand(1, 3, 32, 32)
    maps = {s: torch.rand(1, 1, 32 >> s, 32 >> s) for s in range(4)}
    logits = {s: torch.rand(1, 19, 32 >> s, 32 >> s) for s in range(4)}
    light = torch.rand(1, 3, 32, 32) - 0.5
    return View(image, Perceived(maps, logits, light, image + light))


def frames():
    target, source = torch.rand(2, 1, 3, 32, 32)
    distances = (torch.tensor([0.5]),)
    return Frames(target, (source,), (torch.eye(4)[None],), torch.eye(3) * 30, distances)


@pytest.fixture(scope='module')
def inputs():
    torch.manual_seed(0)
    labels = [PseudoLabels(torch.randint(0, 19, (1, 32, 32))) for _ in range(2)]
    return LossInputs(
        *(view() for _ in range(4)), frames(), frames(), torch.rand(1, 1, 32, 32), *labels
    )


def only(inputs, names):
    absent = {f.name for f in dataclasses.fields(LossInputs)} - names
    return dataclasses.replace(inputs, **dict.fromkeys(absent))


weights = st.builds(
    lambda chosen: LossWeights(**{f: 1.0 if f in chosen else 0.0 for f in FIELDS}),
    st.sets(st.sampled_from(FIELDS)),
)


@EXAMPLES
@given(weights)
def test_exactly_these_inputs_are_enough(inputs, weights):
    needed = required_inputs(weights)
    if needed:
        assert TotalLoss(weights)(only(inputs, needed))['total'].isfinite()
    else:
        with pytest.raises(ValueError, match='nothing to train'):
            TotalLoss(weights)(inputs)


@EXAMPLES
@given(weights)
def test_each_of_them_is_missed_unless_light_or_speed_alone_wants_it(inputs, weights):
    needed = required_inputs(weights)
    missed = required_inputs(dataclasses.replace(weights, light=0, speed=0))
    if weights.light and weights.light_exposure:
        pairs = (('day', 'synthetic_night'), ('synthetic_day', 'night'))
        missed |= {day for day, night in pairs if {day, night} <= needed}
    for name in needed:
        rest = only(inputs, needed - {name})
        if name in missed:
            with pytest.raises(ValueError, match=rf'^{name} is missing, but the weight'):
                TotalLoss(weights)(rest)
        else:
            assert TotalLoss(weights)(rest)['total'].isfinite()


NOTHING = LossWeights(**dict.fromkeys(FIELDS, 0.0))
EVERYTHING = {f.name for f in dataclasses.fields(LossInputs)}
VIEWS = {'day', 'synthetic_night', 'night', 'synthetic_day'}


@pytest.mark.parametrize(
    ('weights', 'needed'),
    [
        (LossWeights(), EVERYTHING),
        (NOTHING, set()),
        (dataclasses.replace(NOTHING, light=1.0), set()),
        (dataclasses.replace(NOTHING, light=1.0, light_similarity=1.0), VIEWS),
        (dataclasses.replace(NOTHING, speed=1.0), {'day_frames', 'night_frames'}),
        (
            # Monodepth2 by day, with the light module and metric scale: no night, no translation
            LossWeights(
                self_supervision_synthetic_night=0,
                self_supervision_night=0,
                consistency=0,
                depth_distillation=0,
                segmentation=0,
                speed=0.1,
            ),
            {'day', 'day_frames'},
        ),
        (
            LossWeights(self_supervision=0, consistency=0, depth_distillation=0),
            VIEWS | {'day_labels', 'night_labels'},
        ),
        (
            LossWeights(self_supervision=0, consistency=0, depth_distillation=0, light_exposure=0),
            VIEWS - {'synthetic_day'} | {'day_labels', 'night_labels'},
        ),
    ],
)
def test_known_recipes(weights, needed):
    assert required_inputs(weights) == needed
