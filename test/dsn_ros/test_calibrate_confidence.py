"""Calibrated confidence, from pictures with truth into a graph."""

import math

import cv2
import numpy as np
import pytest
from support.drive_factory import write_drive

from dsn_core.evaluation.prediction import Prediction
from dsn_core.evaluation.samples import EvaluationSample
from dsn_ros.calibrate_confidence import calibrate_confidence, measure
from dsn_ros.confidence import lookup_tables
from dsn_ros.engines import load_engine, read_model
from dsn_ros.errors import UserError

SAYS = 159 / 255  # next to a step of the tables, 10 / 16


class Network:
    """Always says road with the same confidence."""

    metric = True

    def __call__(self, sample):
        shape = sample.labels.shape
        return Prediction(None, np.zeros(shape, np.uint8), np.full(shape, SAYS, np.float32))


def sample(name, share_right, grey, sequence=''):
    """A picture of one grey value, of which ``share_right`` is road and the rest a car."""
    labels = np.full((20, 50), 13, np.uint8)
    labels.ravel()[: round(1000 * share_right)] = 0
    image = np.full((20, 50, 3), grey, np.uint8)
    depth = np.zeros((20, 50), np.float32)
    return EvaluationSample(name, image, np.eye(3), depth, labels, 'other', sequence or name, None)


def test_each_light_gets_its_own_table():
    pictures = [sample(f'd{i}', 0.9, 150) for i in range(4)]
    pictures += [sample(f'n{i}', 0.3, 2) for i in range(4)]
    fits = measure(Network(), pictures)
    assert {name: fit.pictures for name, fit in fits.items()} == {'day': 4, 'night': 4}
    # The other light counts half: (0.9 + 0.5 x 0.3) / 1.5 and the other way round.
    for name, right in (('day', 0.7), ('night', 0.5)):
        table = lookup_tables({name: fits[name].table})[name]
        assert table[159] / 255 == pytest.approx(right, abs=0.03)
    assert fits['day'].before == pytest.approx(0.9 - SAYS, abs=1e-6)
    assert fits['night'].before == pytest.approx(SAYS - 0.3, abs=1e-6)
    assert fits['day'].after == pytest.approx(0.2, abs=0.03)


def test_after_is_of_sequences_that_the_table_has_not_seen():
    # Every other sequence is right nine times in ten, those between never: nothing to learn.
    pictures = [sample(f'{i}', 0.9 * (i % 2), 150) for i in range(4)]
    fit = measure(Network(), pictures)['day']
    assert fit.after == pytest.approx(0.9, abs=0.02)


def test_a_single_sequence_has_nothing_to_be_checked_on():
    assert math.isnan(measure(Network(), [sample('a', 0.5, 150)])['day'].after)


def test_pictures_without_labels_tell_nothing():
    blank = sample('a', 0.5, 150)
    blank.labels[:] = 255
    assert measure(Network(), [blank]) == {}


def config(folder):
    path = folder / 'confidence.yaml'
    path.write_text(
        f'sets: [{{kind: drives, source: {{kind: drives, path: {folder}, split: validation}}}}]\n'
        'rows: [default]\n'
    )
    return path


@pytest.mark.slow
def test_the_tables_go_into_the_graph_and_nothing_else_changes(tiny_model, tmp_path):
    for index in range(2):
        write_drive(tmp_path, f'town{index}', 'validation', frames=2)
    told = []
    out = tmp_path / 'new' / 'calibrated.onnx'
    fits = calibrate_confidence(
        tiny_model, config(tmp_path), out, progress=lambda *each: told.append(each)
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    before, after = read_model(tiny_model).metadata, read_model(out).metadata
    assert before.confidence == {}
    assert after.confidence == {name: fit.table for name, fit in fits.items()}
    assert after.golden.to_json() == before.golden.to_json()
    images = np.random.default_rng(1).integers(0, 256, (1, 64, 96, 3), np.uint8)
    one, two = (
        load_engine(each, engine='onnxruntime').infer(images) for each in (tiny_model, out)
    )
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_set_without_labels_is_refused_and_nothing_is_written(tiny_model, tmp_path):
    path = write_drive(tmp_path, 'town0', 'validation', frames=1)
    cv2.imwrite(str(path / 'labels' / '000000.png'), np.full((96, 160), 255, np.uint8))
    out = tmp_path / 'out.onnx'
    with pytest.raises(UserError, match='true labels'):
        calibrate_confidence(tiny_model, config(tmp_path), out)
    assert not out.exists()
