"""Stages of a run folder: done once, resumed, redone by content, nothing thrown away."""

import json
import os

import pytest

pytest.importorskip('lightning', reason='lightning is not installed')

from dsn_core.digest import Digests, digest_of
from dsn_core.training.run import Run


class Counting:
    """A stage's work that writes two files and can be interrupted between them."""

    def __init__(self):
        self.calls = 0
        self.written = []
        self.stop_after = None

    def __call__(self, folder):
        self.calls += 1
        (folder / 'work').mkdir(exist_ok=True)
        (folder / 'work' / 'state').write_text(str(self.calls))
        for name in ('a', 'b'):
            if not (folder / name).exists():
                (folder / name).write_text(name * 3)
                self.written.append(name)
            if self.stop_after == name:
                raise KeyboardInterrupt
        return {'calls': float(self.calls)}


def test_a_stage_that_is_done_is_not_done_again(tmp_path):
    work = Counting()
    first = Run(tmp_path).stage('s', lambda: {'x': 1}, work)
    second = Run(tmp_path).stage('s', lambda: {'x': 1}, work)
    assert work.calls == 1
    assert (first.made, second.made) == (True, False)
    assert second.digest == first.digest
    assert second.metrics == {'calls': 1.0}
    record = json.loads((tmp_path / 's' / 'stage.json').read_text())
    assert record['state'] == 'done'
    assert record['inputs'] == {'x': 1}


def test_an_interrupted_stage_goes_on(tmp_path):
    work = Counting()
    work.stop_after = 'a'
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path).stage('s', lambda: {'x': 1}, work)
    work.stop_after = None
    assert Run(tmp_path).stage('s', lambda: {'x': 1}, work).made
    assert work.written == ['a', 'b']


@pytest.mark.parametrize('interrupted', [True, False])
def test_other_inputs_begin_anew_and_keep_what_was_there(tmp_path, caplog, interrupted):
    work = Counting()
    if interrupted:
        work.stop_after = 'a'
        with pytest.raises(KeyboardInterrupt):
            Run(tmp_path).stage('s', lambda: {'x': 1, 'y': 1}, work)
        work.stop_after = None
    else:
        Run(tmp_path).stage('s', lambda: {'x': 1, 'y': 1}, work)
    result = Run(tmp_path).stage('s', lambda: {'x': 2, 'y': 1}, work)
    assert result.made
    assert (tmp_path / 's.old-1' / 'a').exists()
    assert 'x changed' in caplog.text
    assert 's.old-1' in caplog.text


def test_touching_changes_nothing_and_content_does(tmp_path, caplog):
    work = Counting()
    first = Run(tmp_path).stage('s', lambda: {}, work)
    os.utime(tmp_path / 's' / 'a', ns=(1, 1))
    (tmp_path / 's' / 'work' / 'state').write_text('only resuming needs this')
    (tmp_path / 's' / 'c.partial').write_text('killed while it was written')
    assert not Run(tmp_path).stage('s', lambda: {}, work).made
    # A file that is lost is made again, exactly, and nothing that depends on it has to be redone.
    (tmp_path / 's' / 'b').unlink()
    again = Run(tmp_path).stage('s', lambda: {}, work)
    assert again.made
    assert work.written == ['a', 'b', 'b']
    assert again.digest == first.digest
    assert 'not as they were left' in caplog.text
    # A file that somebody improved is kept, and what depends on it will see another digest.
    (tmp_path / 's' / 'a').write_text('better')
    changed = Run(tmp_path).stage('s', lambda: {}, work)
    assert changed.digest != first.digest
    assert (tmp_path / 's' / 'a').read_text() == 'better'


def test_a_broken_record_is_no_record(tmp_path):
    work = Counting()
    Run(tmp_path).stage('s', lambda: {}, work)
    (tmp_path / 's' / 'stage.json').write_text('{"state": "do')
    assert Run(tmp_path).stage('s', lambda: {}, work).made
    assert (tmp_path / 's.old-1' / 'a').exists()


def test_digests_read_a_file_once_while_it_is_unchanged(tmp_path, monkeypatch):
    file = tmp_path / 'f'
    file.write_text('one')
    memory = tmp_path / 'memory.json'
    digests = Digests(memory)
    expected = digests.of_file(file)
    digests.save()
    monkeypatch.setattr('dsn_core.digest.sha256', lambda path: 'read again')
    assert Digests(memory).of_file(file) == expected
    os.utime(file, ns=(5, 5))
    assert Digests(memory).of_file(file) == 'read again'


def test_digest_of_files_is_of_names_and_content(tmp_path):
    for name, text in (('x', '1'), ('y', '2')):
        (tmp_path / name).write_text(text)
    digests = Digests(tmp_path / 'memory.json')
    both = digests.of_files([tmp_path / 'y', tmp_path / 'x'])
    assert both == digests.of_files([tmp_path / 'x', tmp_path / 'y'])
    (tmp_path / 'x').rename(tmp_path / 'z')
    assert both != digests.of_files([tmp_path / 'z', tmp_path / 'y'])
    assert digest_of({'a': 1, 'b': 2}) == digest_of({'b': 2, 'a': 1})
