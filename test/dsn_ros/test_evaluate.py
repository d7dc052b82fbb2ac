"""``dsn evaluate`` on drives made in a moment: files, kept scores, rows of every kind."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import yaml
from support.drive_factory import write_drive

from dsn_core.errors import UserError
from dsn_core.evaluation.run import RowScore
from dsn_core.evaluation.tables import Block, Line, Table
from dsn_ros.evaluate import evaluate
from dsn_ros.evaluation_page import page
from dsn_ros.evaluation_text import to_markdown

CONDITIONS = ('day', 'dusk', 'night')


@pytest.fixture(scope='module')
def drives(tmp_path_factory):
    folder = tmp_path_factory.mktemp('drives')
    for i, condition in enumerate(CONDITIONS):
        size = {'frames': 2, 'height': 64, 'width': 96}
        path = write_drive(folder, f'town{i}9_{condition}', 'test', condition, **size)
        still = np.hstack([np.eye(3), np.zeros((3, 1))]).ravel()
        (path / 'poses.txt').write_text('\n'.join([' '.join(map(str, still))] * 2) + '\n')
        write_drive(folder, f'town{i}1_{condition}', 'train', condition, **size)
    return folder


@pytest.fixture(scope='module')
def perfect(drives, tmp_path_factory):
    """The truth, written as predictions; beside it the same with twice the depth."""
    out = tmp_path_factory.mktemp('predictions')
    for file in drives.glob('town?9_*/depth/*.png'):
        name = f'{file.parents[1].name}/{file.stem}'
        depth = cv2.imread(str(file), cv2.IMREAD_UNCHANGED).astype(np.float32) / 256
        for which, factor in (('perfect', 1), ('double', 2)):
            stem = out / which / name
            stem.parent.mkdir(parents=True, exist_ok=True)
            np.save(f'{stem}.depth.npy', np.where(depth > 0, depth * factor, np.inf))
            labels = (file.parents[1] / 'labels' / file.name).read_bytes()
            stem.with_name(f'{stem.name}.labels.png').write_bytes(labels)
    return out


def configured(tmp_path, drives, rows):
    path = tmp_path / 'c.yaml'
    training = {'kind': 'drives', 'source': {'kind': 'drives', 'path': str(drives)}}
    data = {'sets': [str(drives)], 'rows': rows, 'training': [training]}
    path.write_text(yaml.safe_dump(data))
    return path


def results(out):
    rows = json.loads((out / 'evaluation.json').read_text())['rows']
    return {row['name']: row for row in rows}


def test_truth_is_perfect_and_its_double_only_when_scaled(tmp_path, drives, perfect):
    path = configured(tmp_path, drives, [str(perfect / 'perfect'), str(perfect / 'double')])
    seen = []
    evaluate(path, [], tmp_path / 'out', lambda done, total: seen.append((done, total)))
    rows = results(tmp_path / 'out')
    assert set(rows) == {
        'perfect',
        'double',
        'baseline: a constant',
        'baseline: the median map',
    }
    for condition in CONDITIONS:
        errors = rows['perfect']['conditions'][condition]['depth']
        for protocol in ('table_1', 'table_2'):
            for scaling in ('median_scaled', 'unscaled'):
                found = list(errors[protocol][scaling].values())
                assert found == pytest.approx([0, 0, 0, 0, 1, 1, 1], abs=1e-6)
        assert rows['perfect']['conditions'][condition]['labels']['miou'] == 1
        double = rows['double']['conditions'][condition]['depth']['table_2']
        assert double['median_scaled']['abs_rel'] == pytest.approx(0, abs=1e-6)
        assert double['unscaled']['abs_rel'] > 0.8
        map_errors = rows['baseline: the median map']['conditions'][condition]['depth']['table_2']
        assert map_errors['unscaled']['abs_rel'] > 0.01
        assert rows['perfect']['conditions'][condition]['temporal']['pairs'] == 1
    assert seen[-1] == (24, 24)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_second_run_scores_only_what_is_missing(tmp_path, drives, perfect, monkeypatch):
    from dsn_core.evaluation import run

    path = configured(tmp_path, drives, [str(perfect / 'perfect')])
    evaluate(path, [], tmp_path / 'out')
    kept = {f: f.stat().st_mtime_ns for f in (tmp_path / 'out/work/scores').glob('*.json')}
    assert len(kept) == 3
    before = (tmp_path / 'out/evaluation.json').read_bytes()
    scored = []
    original = run.score
    monkeypatch.setattr(run, 'score', lambda *a: scored.append(1) or original(*a))
    evaluate(path, [], tmp_path / 'out')
    assert not scored
    assert (tmp_path / 'out/evaluation.json').read_bytes() == before
    more = f'rows=[{perfect / "perfect"}, {perfect / "double"}]'
    evaluate(path, [more], tmp_path / 'out')
    assert len(scored) == 1
    evaluate(path, ['table_1.cap=30', 'table_1.min_depth=0.1'], tmp_path / 'out')
    assert len(scored) == 4  # another protocol: all three anew
    assert all(file.stat().st_mtime_ns == time for file, time in kept.items())


def test_a_graph_and_its_checkpoint_agree(tmp_path, drives, tiny_model, tiny_checkpoint):
    rows = [
        {'path': str(tiny_model), 'name': 'graph', 'precision': 'fp32'},
        {'path': str(tiny_checkpoint), 'name': 'checkpoint'},
    ]
    tables = evaluate(configured(tmp_path, drives, rows), [], tmp_path / 'out')
    graph, checkpoint = (
        results(tmp_path / 'out')[k]['conditions']['night'] for k in ('graph', 'checkpoint')
    )
    for scaling in ('median_scaled', 'unscaled'):
        one, two = (each['depth']['table_2'][scaling] for each in (graph, checkpoint))
        assert one == pytest.approx(two, rel=0.01)
    assert graph['calibration']['ece'] == pytest.approx(checkpoint['calibration']['ece'], abs=0.01)
    assert len(tables) == 5
    html = (tmp_path / 'out/evaluation.html').read_text()
    assert '<svg' in html
    assert html.count('data:image/jpeg') >= 3 * 3  # picture, truth and depth of each condition
    markdown = (tmp_path / 'out/tables.md').read_text()
    assert '| DepthSegNet24 (paper) | 0.195 |' in markdown
    assert '| graph, unscaled |' in markdown
    assert not [f for f in (tmp_path / 'out').iterdir() if f.name.startswith('.')]


def test_the_command(tmp_path, drives, perfect):
    path = configured(tmp_path, drives, [str(perfect / 'perfect')])
    out = tmp_path / 'out'
    command = [sys.executable, '-m', 'dsn_ros.cli', 'evaluate', str(path), '--out', str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for text in (
        'Table 1',
        'Table 2',
        'Table 3a',
        'Table 3b',
        'Beside the paper',
        'md4all',
        '57.74',
    ):
        assert text in done.stdout
    assert {f.name for f in out.iterdir()} == {
        'tables.md',
        'evaluation.json',
        'evaluation.html',
        'work',
    }
    for override, named in (
        ('rows=[nothing.onnx]', 'nothing.onnx'),
        ('rows=[nowhere]', 'nowhere'),
        ('sets=[nowhere]', 'nowhere'),
    ):
        failed = subprocess.run(
            [*command[:5], override, *command[5:]], capture_output=True, text=True, timeout=120
        )
        assert failed.returncode == 2
        assert 'Traceback' not in failed.stderr
        (line,) = [x for x in failed.stderr.splitlines() if x.startswith('dsn: ')]
        assert named in line


def test_no_training_library_is_needed(tmp_path, drives, perfect):
    path = configured(tmp_path, drives, [str(perfect / 'perfect')])
    code = (
        'import sys\n'
        'for name in ("torch", "lightning", "mujoco", "transformers"):\n'
        '    sys.modules[name] = None\n'
        'from pathlib import Path\n'
        'from dsn_ros.evaluate import evaluate\n'
        f'evaluate(Path({str(path)!r}), [], Path({str(tmp_path / "out")!r}))\n'
    )
    subprocess.run([sys.executable, '-c', code], check=True, timeout=120)
    assert results(tmp_path / 'out')


def test_an_incomplete_folder_of_predictions_is_named(tmp_path, drives, perfect):
    path = configured(tmp_path, drives, [str(perfect / 'perfect')])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match=r'empty has no prediction for town09_day/000000'):
        evaluate(path, [f'rows=[{tmp_path / "empty"}]'], tmp_path / 'out')
    assert not (tmp_path / 'out/evaluation.json').exists()


def test_names_cannot_break_the_page_or_the_markdown():
    evil = '<script>alert(1)</script> | "x"'
    found = Table(evil, evil, (evil,), (Block(evil, (Line(evil, 'ours', ()),)),))
    figures = {
        'labels': {'miou': 0.5, 'iou': {'road': 0.5}},
        'calibration': {
            'ece': 0.1,
            'bins': [{'pixels': 5, 'confidence': 0.9, 'accuracy': 0.8}] * 15,
        },
        'pictures': {'picture': '"><script>'},
    }
    score = RowScore(evil, evil, False, True, evil, (1,), {evil: figures})
    html = page([found], [score], evil)
    assert '<script' not in html
    assert '&lt;script&gt;' in html
    assert 'default-src &#x27;none&#x27;' in html or "default-src 'none'" in html
    markdown = to_markdown([found])
    assert '<script' not in markdown
    assert '| \\| ' not in markdown
    row = next(x for x in markdown.splitlines() if x.startswith('| &lt;'))
    assert row.count('|') - row.count('\\|') == 2
