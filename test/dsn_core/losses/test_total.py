"""Eq 18 and the sums inside it: the paper's weights, the wiring of pairs, and what zero saves."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from support.loss_inputs import GROUPS, NOTHING, SKY, generator, random_inputs

from dsn_core.losses import (
    Frames,
    LossInputs,
    LossOptions,
    LossWeights,
    PseudoLabels,
    TotalLoss,
    View,
    depth_distillation,
    exposure_control,
    light_similarity,
    multiscale_smoothness,
    segmentation_distillation,
    speed_supervision,
    total_variation,
    unwarped_error,
    view_synthesis_error,
)
from dsn_core.losses.consistency import (
    relative_consistency,
)
from dsn_core.models import DepthSegNet
from dsn_core.models.decoder import disparity_to_depth


@pytest.fixture
def inputs():
    return random_inputs()


def by_hand(i, weights):
    """Every term from the losses themselves, the paper's equations typed once more."""
    terms = {}
    day, syn_night, night, syn_day = i.day, i.synthetic_night, i.night, i.synthetic_day

    def mean(function, *views):
        return sum(function(v) for v in views) / len(views)

    def variation(v):
        return total_variation(v.perceived.light)

    def similarity(v):
        return light_similarity(v.perceived.enhanced, v.image)

    terms['light/day/variation'] = mean(variation, day, syn_day)
    terms['light/day/similarity'] = mean(similarity, day, syn_day)
    terms['light/night/variation'] = mean(variation, night, syn_night)
    terms['light/night/similarity'] = mean(similarity, night, syn_night)
    terms['light/night/exposure'] = (
        exposure_control(syn_night.perceived.enhanced, float(day.image.mean()))
        + exposure_control(night.perceived.enhanced, float(syn_day.image.mean()))
    ) / 2
    terms['light'] = (
        10 * terms['light/day/variation']
        + terms['light/day/similarity']
        + 10 * terms['light/night/variation']
        + terms['light/night/similarity']
        + terms['light/night/exposure']
    )
    noise = generator()
    still = {}
    terms['self_supervision'] = 0
    for name, v, f, weight in (
        ('day', day, i.day_frames, 1),
        ('synthetic_night', syn_night, i.day_frames, 1),
        ('night', night, i.night_frames, 0.1),
    ):
        if id(f) not in still:
            still[id(f)] = unwarped_error(f.target, f.sources, generator=noise)
        d = v.perceived.disparities
        error, rough = view_synthesis_error(d, f, still[id(f)]), multiscale_smoothness(d, f.target)
        terms[f'self_supervision/{name}/photometric'] = error
        terms[f'self_supervision/{name}/smoothness'] = rough
        terms['self_supervision'] += weight * (error + 0.001 * rough)

    def disparity(v):
        return 1 / disparity_to_depth(v.perceived.disparities[0], 0.1, 100)

    def compare(day, night, mask=None):
        return relative_consistency(disparity(day), disparity(night), mask)

    terms['consistency/real'] = compare(day, syn_night)
    not_sky = i.night_labels.teacher[:, None] != SKY
    terms['consistency/synthetic'] = compare(syn_day, night, not_sky)
    terms['consistency'] = terms['consistency/real'] + terms['consistency/synthetic']
    middle = np.median(disparity(day).detach())
    terms['depth_distillation/day'] = depth_distillation(
        disparity(day) / middle, i.teacher_disparity
    )
    terms['depth_distillation'] = terms['depth_distillation/day']

    def cross_entropy(v, labels):
        values = []
        for x in v.perceived.logits.values():
            full = torch.nn.functional.interpolate(x, size=(32, 48), mode='bilinear')
            found = segmentation_distillation(full, labels.teacher, 0.1, labels.confidence)
            values.append(found)
        return sum(values) / 4

    terms['segmentation/day'] = cross_entropy(day, i.day_labels)
    terms['segmentation/synthetic_night'] = cross_entropy(syn_night, i.day_labels)
    terms['segmentation/night'] = cross_entropy(night, i.night_labels)
    terms['segmentation'] = sum(v for k, v in terms.items() if k.startswith('segmentation/'))
    if weights.speed:
        for name, f in (('day', i.day_frames), ('night', i.night_frames)):
            steps = zip(f.transforms, f.distances, strict=True)
            terms[f'speed/{name}'] = sum(speed_supervision(t[:, :3, 3], d) for t, d in steps) / 2
        terms['speed'] = terms['speed/day'] + terms['speed/night']
    terms['total'] = 0.01 * terms['light'] + sum(terms[g] for g in GROUPS[1:])
    if weights.speed:
        terms['total'] = terms['total'] + weights.speed * terms['speed']
    return terms


@pytest.mark.parametrize('weights', [LossWeights(), LossWeights(speed=0.3)])
def test_every_term_and_their_sum_with_the_papers_weights(inputs, weights):
    found = TotalLoss(weights)(inputs, generator())
    expected = by_hand(inputs, weights)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].shape == (), name
        assert float(found[name].detach()) == pytest.approx(float(value.detach()), abs=1e-6), name


def leaves(value):
    if isinstance(value, torch.Tensor):
        return [value] if value.is_leaf and value.requires_grad else []
    if dataclasses.is_dataclass(value):
        return leaves([getattr(value, f.name) for f in dataclasses.fields(value)])
    if isinstance(value, dict):
        return leaves(list(value.values()))
    return [x for v in value for x in leaves(v)] if isinstance(value, (list, tuple)) else []


def test_gradients_reach_everything_but_the_day_side_of_pseudo_labels(inputs):
    TotalLoss()(inputs, generator())['total'].backward()
    for name in ('day', 'synthetic_night', 'night', 'day_frames', 'night_frames'):
        assert all(x.grad is not None and x.grad.any() for x in leaves(getattr(inputs, name)))
    synthetic_day = inputs.synthetic_day.perceived
    assert synthetic_day.light.grad.any()
    assert all(synthetic_day.disparities[s].grad is None for s in (1, 2, 3))
    # Its scale and nothing else: the same for all pixels but the sky's.
    scale = synthetic_day.disparities[0].grad[:, 0]
    for pull, sees_sky in zip(scale, inputs.night_labels.teacher == SKY, strict=True):
        assert not pull[sees_sky].any()
        rest = pull[~sees_sky]
        torch.testing.assert_close(rest, rest.mean().expand_as(rest))


def test_consistency_alone_reaches_the_night_only(inputs):
    weights = dataclasses.replace(NOTHING, consistency=1)
    terms = TotalLoss(weights, LossOptions(depth_space='depth'))(inputs)
    terms['total'].backward()
    assert all(x.grad is None for x in leaves([inputs.day, inputs.synthetic_day]))
    night = inputs.night.perceived.disparities[0].grad
    assert not night[:, :, :12].any()  # the sky
    assert night[:, :, 12:].any()
    assert inputs.synthetic_night.perceived.disparities[0].grad.any()


class Untouchable:
    """Whoever looks at it fails."""

    def __getattribute__(self, name):
        raise AssertionError(f'{name} was looked at')


NEEDS = {
    'light': {'day', 'synthetic_night', 'night', 'synthetic_day'},
    'self_supervision': {'day', 'synthetic_night', 'night', 'day_frames', 'night_frames'},
    'consistency': {'day', 'synthetic_night', 'night', 'synthetic_day', 'night_labels'},
    'depth_distillation': {'day', 'teacher_disparity'},
    'segmentation': {'day', 'synthetic_night', 'night', 'day_labels', 'night_labels'},
    'speed': {'day_frames', 'night_frames'},
}


@pytest.mark.parametrize('group', NEEDS)
def test_weight_zero_touches_nothing(inputs, group):
    fields = {f.name for f in dataclasses.fields(LossInputs)}
    barred = dict.fromkeys(fields - NEEDS[group], Untouchable())
    terms = TotalLoss(dataclasses.replace(NOTHING, **{group: 1}))(
        dataclasses.replace(inputs, **barred)
    )
    assert {name.partition('/')[0] for name in terms} == {group, 'total'}
    torch.testing.assert_close(terms['total'], terms[group])


@pytest.mark.parametrize(
    ('weight', 'absent', 'barred'),
    [
        ('light_variation', 'light/day/variation', []),
        ('light_exposure', 'light/night/exposure', []),
        ('light_similarity', 'light/night/similarity', []),
        ('smoothness', 'self_supervision/day/smoothness', []),
        ('self_supervision_night', 'self_supervision/night/photometric', ['night_frames']),
        ('consistency_synthetic', 'consistency/synthetic', []),
        ('consistency_real', 'consistency/real', []),
        ('segmentation_night', 'segmentation/night', []),
    ],
)
def test_inner_weights_of_zero_build_nothing_either(inputs, weight, absent, barred):
    held = dataclasses.replace(inputs, **dict.fromkeys(barred, Untouchable()))
    before = TotalLoss()(inputs, generator())
    terms = TotalLoss(LossWeights(**{weight: 0}))(held, generator())
    assert absent in before
    assert absent not in terms
    assert terms['total'] < before['total']


def test_day_only_training_is_monodepth2(inputs):
    weights = dataclasses.replace(
        NOTHING,
        self_supervision=1,
        self_supervision_synthetic_night=0,
        self_supervision_night=0,
    )
    terms = TotalLoss(weights)(
        LossInputs(day=inputs.day, day_frames=inputs.day_frames), generator()
    )
    assert set(terms) == {
        'self_supervision/day/photometric',
        'self_supervision/day/smoothness',
        'self_supervision',
        'total',
    }


@pytest.mark.parametrize('missing', [f.name for f in dataclasses.fields(LossInputs)])
def test_a_missing_input_is_named_with_the_weight_that_wants_it(inputs, missing):
    with pytest.raises(ValueError, match=rf'^{missing} is missing, but the weight .* to 0$'):
        TotalLoss()(dataclasses.replace(inputs, **{missing: None}))


def test_speed_without_distances_is_an_error_and_one_side_is_enough(inputs):
    weights = dataclasses.replace(NOTHING, speed=1)
    day, night = (
        dataclasses.replace(f, distances=None) for f in (inputs.day_frames, inputs.night_frames)
    )
    terms = TotalLoss(weights)(dataclasses.replace(inputs, night_frames=night))
    assert set(terms) == {'speed/day', 'speed', 'total'}
    with pytest.raises(ValueError, match='the weight speed'):
        TotalLoss(weights)(dataclasses.replace(inputs, day_frames=day, night_frames=night))


def test_nothing_to_train_is_an_error(inputs):
    with pytest.raises(ValueError, match='nothing to train'):
        TotalLoss(NOTHING)(inputs)


def test_soft_night_labels_mask_the_same_sky(inputs):
    ids = inputs.night_labels.teacher
    soft = PseudoLabels(torch.nn.functional.one_hot(ids, 19).movedim(3, 1).double())
    weights = dataclasses.replace(NOTHING, consistency=1)
    hard = TotalLoss(weights)(inputs)['total']
    found = TotalLoss(weights)(dataclasses.replace(inputs, night_labels=soft))['total']
    assert found.equal(hard)


def test_noise_comes_from_the_generator(inputs):
    loss = TotalLoss()
    one, two = (loss(inputs, generator())['total'] for _ in range(2))
    assert one.equal(two)
    assert not one.equal(loss(inputs, torch.Generator().manual_seed(5))['total'])


@pytest.mark.parametrize('autocast', [False, True])
def test_the_network_itself_trains_on_it(inputs, autocast):
    torch.manual_seed(0)
    network = DepthSegNet()

    def seen(v):
        image = torch.nn.functional.pad(v.image.float(), (0, 16, 0, 32))  # 64 x 64
        return View(image, network(image))

    def padded(f):
        grow = [torch.nn.functional.pad(x.float(), (0, 16, 0, 32)) for x in (f.target, *f.sources)]
        poses = tuple(t.detach().float() for t in f.transforms)
        return Frames(grow[0], tuple(grow[1:]), poses, f.intrinsics)

    labels = PseudoLabels(torch.randint(0, 19, (1, 64, 64)))
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=autocast):
        terms = TotalLoss()(
            LossInputs(
                day=seen(inputs.day),
                synthetic_night=seen(inputs.synthetic_night),
                night=seen(inputs.night),
                synthetic_day=seen(inputs.synthetic_day),
                day_frames=padded(inputs.day_frames),
                night_frames=padded(inputs.night_frames),
                teacher_disparity=torch.rand(1, 1, 64, 64),
                day_labels=labels,
                night_labels=labels,
            ),
            generator(),
        )
    assert all(t.dtype == torch.float32 and t.isfinite() for t in terms.values())
    terms['total'].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_wrong_weights_and_options_are_named():
    with pytest.raises(ValueError, match=r'^smoothness must be zero or above'):
        LossWeights(smoothness=-1)
    with pytest.raises(ValueError, match=r'^light must be zero or above'):
        LossWeights(light=float('nan'))
    for field, value in {
        'min_depth': 200.0,
        'scales': (),
        'alpha': 2.0,
        'depth_space': 'metres',
        'teacher_depth': 'metric',
        'confidence_threshold': 1.0,
        'exposure_patch': 0,
    }.items():
        with pytest.raises(ValueError, match=rf'^{field} must be'):
            LossOptions(**{field: value})
