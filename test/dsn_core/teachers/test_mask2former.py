"""Mask2Former as a teacher, with a tiny random model in the place of the real one."""

import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
transformers = pytest.importorskip('transformers', reason='transformers is not installed')
pytest.importorskip('scipy', reason='scipy is not installed: Mask2Former needs it')

from support.tiny_teachers import enlarged, pictures, save_mask2former, softmax, spy_on

from dsn_core.errors import ConfigError, UserError
from dsn_core.labels import CITYSCAPES
from dsn_core.teachers import LabelTeacher, Mask2FormerTeacher

NAMES = ['day/000000', 'day/000001']
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return save_mask2former(tmp_path_factory.mktemp('mask2former') / 'model')


@pytest.fixture(scope='module')
def labels(folder):
    return Mask2FormerTeacher(str(folder), short_side=64).load('cpu')(pictures(), NAMES)


def shares_by_numpy(folder, images):
    """Sums over the queries, from the model's raw outputs."""
    network = transformers.Mask2FormerForUniversalSegmentation.from_pretrained(folder).eval()
    shown = ((images / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    with torch.no_grad():
        out = network(pixel_values=torch.from_numpy(shown).float())
    masks = enlarged(out.masks_queries_logits.numpy(), *images.shape[1:3])
    masks = 1 / (1 + np.exp(-masks))  # (N, Q, H, W)
    classes = softmax(out.class_queries_logits.double().numpy(), axis=-1)
    scores = np.zeros((len(images), 19, *images.shape[1:3]))
    for n, q, c in np.ndindex(*classes[..., :-1].shape):
        scores[n, c] += classes[n, q, c] * masks[n, q]
    return scores


def test_labels_are_the_sums_over_the_queries(folder, labels):
    scores = shares_by_numpy(folder, pictures())
    total = scores.sum(axis=1)
    assert (total < 1).any()
    assert (total > 1).any()
    shares = scores / np.maximum(total, 1)[:, None]
    assert len(np.unique(labels.ids)) >= 3
    assert labels.ids.dtype == labels.confidence.dtype == np.uint8
    first, second = np.sort(shares, axis=1)[:, [-1, -2]].transpose(1, 0, 2, 3)
    clear = first - second > 1e-4
    assert clear.mean() > 0.95
    np.testing.assert_array_equal(labels.ids[clear], shares.argmax(axis=1)[clear])
    np.testing.assert_allclose(labels.confidence / 255, first, atol=0.51 / 255 + 1e-4)
    assert np.ptp(labels.confidence) > 50


def test_pictures_are_shown_at_the_size_asked_for_and_answered_at_their_own(folder, monkeypatch):
    shown = spy_on(monkeypatch, transformers.Mask2FormerForUniversalSegmentation)
    small = pictures(1, 48, 70)
    found = Mask2FormerTeacher(str(folder), short_side=96).load('cpu')(small, NAMES[:1])
    assert shown == [(1, 3, 96, 128)]  # 96 x 140, in multiples of 32
    assert found.ids.shape == found.confidence.shape == (1, 48, 70)


def test_classes_go_by_their_names(folder, labels, tmp_path):
    turned = tmp_path / 'turned'
    shutil.copytree(folder, turned)
    config = json.loads((turned / 'config.json').read_text())
    names = [name.replace(' ', '_').title() for name in reversed(CITYSCAPES.names)]
    config['id2label'] = dict(enumerate(names))
    config['label2id'] = {name: i for i, name in enumerate(names)}
    (turned / 'config.json').write_text(json.dumps(config))
    found = Mask2FormerTeacher(str(turned), short_side=64).load('cpu')(pictures(), NAMES)
    np.testing.assert_array_equal(found.ids, 18 - labels.ids)
    config['id2label'] = {**config['id2label'], 3: 'swimming pool'}
    (turned / 'config.json').write_text(json.dumps(config))
    with pytest.raises(UserError, match=r'1 of its 19 classes .* first .swimming pool.'):
        Mask2FormerTeacher(str(turned)).load('cpu')


def test_mixed_precision_says_nearly_the_same(folder, labels):
    teacher = Mask2FormerTeacher(str(folder), short_side=64, precision='bf16')
    found = teacher.load('cpu')(pictures(), NAMES)
    assert np.mean(found.ids == labels.ids) > 0.9


def test_fingerprint_follows_content_and_fields_not_the_place(folder, tmp_path):
    first = Mask2FormerTeacher(str(folder)).fingerprint()
    elsewhere = tmp_path / 'elsewhere'
    shutil.copytree(folder, elsewhere)
    assert Mask2FormerTeacher(str(elsewhere)).fingerprint() == first
    weights = elsewhere / 'model.safetensors'
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    others = [
        Mask2FormerTeacher(str(elsewhere)),
        Mask2FormerTeacher(str(folder), short_side=640),
        Mask2FormerTeacher(str(folder), precision='bf16'),
        Mask2FormerTeacher('some/model'),
        Mask2FormerTeacher('some/model', revision='v2'),
    ]
    assert len({first, *(t.fingerprint() for t in others)}) == 6


def test_what_cannot_be_loaded_is_named_with_the_remedy(folder, tmp_path, monkeypatch):
    hub = pytest.importorskip('huggingface_hub.constants')
    monkeypatch.setattr(hub, 'HF_HUB_OFFLINE', True)
    with pytest.raises(UserError, match=r'^model nobody/nothing .*download it elsewhere[^\n]*$'):
        Mask2FormerTeacher('nobody/nothing').load('cpu')
    with pytest.raises(UserError, match=r'^model /nowhere/at/all is no folder[^\n]*$'):
        Mask2FormerTeacher('/nowhere/at/all').load('cpu')
    with pytest.raises(UserError, match=r'^model \S+ is without a config.json'):
        Mask2FormerTeacher(str(tmp_path)).load('cpu')
    broken = tmp_path / 'broken'
    shutil.copytree(folder, broken)
    weights = broken / 'model.safetensors'
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(UserError, match=r'^model \S+broken cannot be loaded: [^\n]*$'):
        Mask2FormerTeacher(str(broken)).load('cpu')
    weights.unlink()
    torch.save({}, broken / 'pytorch_model.bin')  # a pickle
    with pytest.raises(UserError, match=r'must hold config.json and model.safetensors'):
        Mask2FormerTeacher(str(broken)).load('cpu')


def test_weights_that_are_missing_are_not_drawn_at_random(folder, tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    partial = tmp_path / 'partial'
    shutil.copytree(folder, partial)
    tensors = safetensors.load_file(partial / 'model.safetensors')
    del tensors['class_predictor.weight']
    safetensors.save_file(tensors, partial / 'model.safetensors', metadata={'format': 'pt'})
    with pytest.raises(UserError, match=r'lacks 1 of its weights, first class_predictor.weight'):
        Mask2FormerTeacher(str(partial)).load('cpu')


def test_fields_are_checked():
    assert LabelTeacher.kinds['mask2former'] is Mask2FormerTeacher
    for field, value in {'model': '', 'short_side': 0, 'precision': 'int8'}.items():
        with pytest.raises(ConfigError, match=rf'^{field} must be'):
            Mask2FormerTeacher(**{field: value})
