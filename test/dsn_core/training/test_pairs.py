"""Samples of the joint training: all of one frame, alike flipped, in an order that is its own."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('lightning', reason='lightning is not installed')

from support.moving_scene import MovingScene, draw
from support.scene_run import write_domains

from dsn_core.training.label_free_config import ScheduleConfig
from dsn_core.training.pairs import Pairs


@pytest.fixture(scope='module')
def domains(tmp_path_factory):
    return write_domains(tmp_path_factory.mktemp('domains'))


def pairs(domains, count=40, **schedule):
    return Pairs(domains, ScheduleConfig(**schedule), seed=3, count=count)


def test_a_sample_is_all_of_one_frame(domains):
    samples = pairs(domains, flip=0.0, jitter=0.0)
    sample = samples[5]
    index = int(sample['night_name'].split('/')[1])
    assert index in domains[1].frames.targets
    scene = MovingScene(seed=1, length=6, night=True)
    _, depth, labels = draw(scene, index // 6, (index % 6) * scene.step)
    assert np.array_equal(sample['night_labels'].numpy(), labels)
    assert float(sample['night_confidence'].unique()) == pytest.approx(0.8)
    assert 'night_disparity' not in sample
    for key, frame in (('night', index), ('night_target', index)):
        expected = domains[1].frames.image(frame).transpose(2, 0, 1) / 255
        np.testing.assert_allclose(sample[key].numpy(), expected, atol=1e-6)
    for place, frame in enumerate((index - 1, index + 1)):
        expected = domains[1].frames.image(frame).transpose(2, 0, 1) / 255
        np.testing.assert_allclose(sample['night_sources'][place].numpy(), expected, atol=1e-6)
    assert sample['night_pose_frames'].shape == (3, 3, 64, 96)
    assert sample['night_distances'].tolist() == pytest.approx([0.5, 0.5])
    np.testing.assert_allclose(sample['night_intrinsics'], domains[1].frames.intrinsics(index))

    day = int(sample['day_name'].split('/')[1])
    _, depth, _ = draw(replace(scene, seed=0), day // 6, (day % 6) * scene.step)
    ratio = sample['day_disparity'][0].numpy() * depth
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=2e-3)
    # The translation is darker, and of the same place.
    assert sample['day_synthetic'].mean() < 0.5 * sample['day'].mean()
    correlation = np.corrcoef(sample['day_synthetic'].flatten(), sample['day'].flatten())[0, 1]
    assert correlation > 0.8


def test_a_flip_mirrors_everything(domains):
    plain = pairs(domains, flip=0.0, jitter=0.0)[7]
    flipped = pairs(domains, flip=1.0, jitter=0.0)[7]
    for key, value in plain.items():
        if key.endswith('_name') or key.endswith('_distances'):
            assert str(flipped[key]) == str(value)
        elif key.endswith('_intrinsics'):
            mirror = torch.tensor([[-1.0, 0, 95], [0, 1, 0], [0, 0, 1]])
            # u' = 95 - u for every point: K' diag(-1, 1, 1) = mirror K
            torch.testing.assert_close(
                flipped[key] @ torch.diag(torch.tensor([-1.0, 1.0, 1.0])), mirror @ value
            )
        else:
            torch.testing.assert_close(flipped[key], value.flip(-1))


def test_jitter_changes_what_the_networks_see_and_nothing_else(domains):
    plain = pairs(domains, flip=0.0, jitter=0.0)[2]
    jittered = pairs(domains, flip=0.0, jitter=1.0)[2]
    for key in ('day', 'day_synthetic', 'day_pose_frames', 'night'):
        assert not torch.allclose(jittered[key], plain[key], atol=0.01)
        assert 0 <= jittered[key].min() <= jittered[key].max() <= 1
    torch.testing.assert_close(jittered['day_pose_frames'][1], jittered['day'])
    for key in ('day_target', 'day_sources', 'night_labels', 'day_disparity'):
        torch.testing.assert_close(jittered[key], plain[key])


def test_every_frame_comes_once_a_lap_in_another_order(domains):
    samples = pairs(domains)
    names = [samples[i]['day_name'] for i in range(16)]
    assert sorted(names[:8]) == sorted(names[8:]) == sorted(set(names))
    assert names[:8] != names[8:]
    nights = [samples[i]['night_name'] for i in range(8)]
    assert [n.split('/')[1] for n in nights] != [n.split('/')[1] for n in names[:8]]


def test_a_sample_is_the_same_whenever_it_is_asked_for(domains):
    first, second = pairs(domains), pairs(domains)
    first[3]
    for key, value in second[9].items():
        again = first[9][key]
        assert again == value if isinstance(value, str) else torch.equal(again, value)
