"""Eq 18 and the sums inside it: the paper's weights, the wiring of pairs, and what zero saves."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from support.loss_reference import SlantedPlane, images, tensors

from dsn_core.losses import (
    Frames,
    LossInputs,
    LossOptions,
    LossWeights,
    PseudoLabels,
    TotalLoss,
    View,
    affine_invariant_distillation,
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
    DEPTH_SPACES,
    relative_consistency,
    without_pull_on_scale,
)
from dsn_core.models import DepthSegNet, Perceived
from dsn_core.models.decoder import disparity_to_depth

NOTHING = LossWeights(
    light=0, self_supervision=0, consistency=0, depth_distillation=0, segmentation=0
)
GROUPS = ('light', 'self_supervision', 'consistency', 'depth_distillation', 'segmentation')
SKY = 10


def view(seed):
    """A random picture and random outputs, as leaves that remember their gradient."""
    image, light = images(seed, 1, 3, 32, 48), images(seed + 1, 1, 3, 32, 48) - 0.5
    disparities = {s: images(seed + 2 + s, 1, 1, 32 >> s, 48 >> s) for s in range(4)}
    logits = {s: 4 * images(seed + 6 + s, 1, 19, 32 >> s, 48 >> s) for s in range(4)}

    def leaf(array):
        return torch.from_numpy(array).requires_grad_(True)

    light_leaf = leaf(light)
    perceived = Perceived(
        {s: leaf(d) for s, d in disparities.items()},
        {s: leaf(x) for s, x in logits.items()},
        light_leaf,
        torch.from_numpy(image) + light_leaf,
    )
    return View(torch.from_numpy(image), perceived)


def frames(seed):
    plane = SlantedPlane()
    transforms = [plane.transform(translation=(x, 0.1, -0.2))[None] for x in (-0.3, 0.3)]
    target, before, after = tensors(*(images(seed + i, 1, 3, 32, 48) for i in range(3)))
    poses = tuple(t.requires_grad_(True) for t in tensors(*transforms))
    k = torch.from_numpy(plane.intrinsics)
    distances = tuple(tensors(np.array([0.5]), np.array([0.4])))
    return Frames(target, (before, after), poses, k, distances)


@pytest.fixture
def inputs():
    rng = np.random.default_rng(1)
    day_ids, night_ids = rng.integers(0, 19, (2, 1, 32, 48))
    night_ids[:, :12] = SKY
    return LossInputs(
        day=view(100),
        synthetic_night=view(200),
        night=view(300),
        synthetic_day=view(400),
        day_frames=frames(500),
        night_frames=frames(600),
        teacher_disparity=torch.from_numpy(images(700, 1, 1, 32, 48) + 0.5),
        day_labels=PseudoLabels(*tensors(day_ids, images(701, 1, 32, 48))),
        night_labels=PseudoLabels(*tensors(night_ids)),
    )


def generator():
    return torch.Generator().manual_seed(4)


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


def distil(**options):
    weights = dataclasses.replace(NOTHING, depth_distillation=1)
    return TotalLoss(weights, LossOptions(**options))


def day_depth(inputs):
    return disparity_to_depth(inputs.day.perceived.disparities[0], 0.1, 100)


@pytest.mark.parametrize('space', DEPTH_SPACES)
def test_the_teachers_scale_does_not_matter_in_any_space(inputs, space):
    loss = distil(depth_space=space)
    once = loss(inputs)['total']
    assert once > 0.1
    teacher = 30 * inputs.teacher_disparity
    torch.testing.assert_close(
        loss(dataclasses.replace(inputs, teacher_disparity=teacher))['total'], once
    )
    own = 7 / day_depth(inputs).detach()
    perfect = loss(dataclasses.replace(inputs, teacher_disparity=own))['total']
    assert float(perfect.detach()) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize('space', DEPTH_SPACES)
@pytest.mark.parametrize('rows', [8, 24, 32])
def test_a_teachers_sky_at_zero_disparity_asks_for_the_largest_depth(inputs, space, rows):
    leaf = inputs.day.perceived.disparities[0]
    with torch.no_grad():
        leaf[:, :, :rows] = 0
    teacher = 7 / day_depth(inputs).detach()
    teacher[:, :, :rows] = 0
    loss = distil(depth_space=space)
    right = loss(dataclasses.replace(inputs, teacher_disparity=teacher))['total']
    assert float(right.detach()) == pytest.approx(0, abs=1e-9)
    with torch.no_grad():
        leaf[:, :, :8] = 0.5
    wrong = loss(dataclasses.replace(inputs, teacher_disparity=teacher))['total']
    wrong.backward()
    assert wrong.isfinite()
    assert wrong > 1e-3
    assert leaf.grad.isfinite().all()
    assert leaf.grad[:, :, :8].mean() > 0  # less disparity is better


@pytest.mark.parametrize('space', DEPTH_SPACES)
def test_no_relative_term_pulls_on_the_scale_of_depth(inputs, space):
    """Depth of every view times s: what the losses' gradient would do to s, at 1."""
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    low, high = 1 / 100, 1 / 0.1

    def scaled(view):
        disparity = low + (high - low) * view.perceived.disparities[0].detach()
        maps = {0: (scale * disparity - low) / (high - low)}
        return View(view.image, view.perceived._replace(disparities=maps))

    views = {
        n: scaled(getattr(inputs, n)) for n in ('day', 'synthetic_night', 'night', 'synthetic_day')
    }
    weights = dataclasses.replace(
        NOTHING, consistency=float(space != 'depth'), depth_distillation=1
    )
    loss = TotalLoss(weights, LossOptions(depth_space=space))
    (pull,) = torch.autograd.grad(loss(dataclasses.replace(inputs, **views))['total'], scale)
    assert abs(float(pull)) < 1e-9


def test_the_teachers_scaled_depth_is_a_fixed_target(inputs):
    """Were the ratio differentiated, a smaller depth would mean a smaller loss, without end."""
    disparity = inputs.day.perceived.disparities[0]
    depth = day_depth(inputs)
    ratio = np.median(1 / depth.detach()) / np.median(inputs.teacher_disparity)
    target = 1 / (inputs.teacher_disparity * ratio)
    still = without_pull_on_scale(depth)
    expected = torch.autograd.grad(depth_distillation(still, target, 1.0), disparity)
    found = torch.autograd.grad(distil(depth_space='depth')(inputs)['total'], disparity)
    torch.testing.assert_close(found, expected)


def test_an_affine_teacher_may_have_its_zero_anywhere(inputs):
    loss = distil(teacher_depth='affine')
    terms = loss(inputs)
    expected = affine_invariant_distillation(1 / day_depth(inputs), inputs.teacher_disparity)
    torch.testing.assert_close(terms['depth_distillation/day'], expected)
    shifted = 9 * inputs.teacher_disparity + 4
    again = loss(dataclasses.replace(inputs, teacher_disparity=shifted))
    torch.testing.assert_close(again['total'], terms['total'])
    other = distil()(dataclasses.replace(inputs, teacher_disparity=shifted))['total']
    assert abs(other - distil()(inputs)['total']) > 0.01


def test_night_must_get_the_days_scale_right(inputs):
    day = inputs.day.perceived
    night = day._replace(disparities={s: d / 2 for s, d in day.disparities.items()})
    weights = dataclasses.replace(NOTHING, consistency=1, consistency_synthetic=0)
    doubled = View(inputs.day.image, night)
    terms = TotalLoss(weights)(dataclasses.replace(inputs, synthetic_night=doubled))
    assert terms['total'] > 0.05


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
