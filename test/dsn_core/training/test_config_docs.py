"""What configurations say of themselves: nothing is missing, nothing is lost, nothing is twice."""

import re
import typing
from collections import Counter
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path

import pytest
import yaml

pytest.importorskip('torch', reason='torch is not installed')

from hypothesis import example, given, settings
from hypothesis import strategies as st

import dsn_core.data.sources  # noqa: F401  (its kinds, and one more)
import dsn_ros.bag_frames  # noqa: F401
from dsn_core.choice import Choice
from dsn_core.data.source import FrameSource
from dsn_core.teachers import DepthTeacher, LabelTeacher
from dsn_core.training.config import RECIPES, load_config
from dsn_core.training.config_docs import config_classes, field_docs, to_markdown, to_yaml
from dsn_core.training.label_free_config import LabelFreeConfig
from dsn_core.training.supervised_config import PhaseConfig, SupervisedConfig

CONFIGS = sorted((Path(__file__).parents[3] / 'config' / 'train').glob('*.yaml'))
CLASSES = list({cls: 0 for recipe in RECIPES.values() for cls in config_classes(recipe)})
PHASE = PhaseConfig(64, 96, 2, 8, 1e-5)
SUPERVISED = SupervisedConfig('n', (Path('a'), Path('b c')), Path('runs/n'), (PHASE, PHASE), 't')


def again(config, folder):
    """What ``load_config`` makes of the YAML of ``config``."""
    path = folder / 'again.yaml'
    path.write_text(to_yaml(config), encoding='utf-8')
    return load_config(path)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.name)
def test_a_shipped_config_comes_back_whole(path, tmp_path):
    config = load_config(path)
    assert again(config, tmp_path) == config
    written = yaml.safe_load(to_yaml(config))
    assert list(written) == ['recipe', *(f.name for f in fields(config))]


def instance(member):
    """A member of a family, its required fields filled."""
    values = {Path: Path('a folder/x: #1'), int: 3, str: 'x'}
    hints = typing.get_type_hints(member)
    required = {}
    for f in fields(member):
        try:
            member(**required)
            break
        except TypeError:
            required[f.name] = values[hints[f.name]]
    return member(**required)


@pytest.mark.parametrize('kind', FrameSource.kinds)
def test_every_kind_of_source_comes_back(kind, tmp_path):
    source = instance(FrameSource.kinds[kind])
    config = LabelFreeConfig('n', Path('r'), 't', day=(source, source), night=(source,))
    assert again(config, tmp_path) == config


@pytest.mark.parametrize(
    ('stage', 'family', 'kind'),
    [
        *(('day_depth', DepthTeacher, kind) for kind in DepthTeacher.kinds),
        *(('label', LabelTeacher, kind) for kind in LabelTeacher.kinds),
    ],
)
def test_every_kind_of_teacher_comes_back(stage, family, kind, tmp_path):
    config = LabelFreeConfig('n', Path('r'), 't')
    weights = replace(config.weights, depth_distillation=0.0)  # affine teachers want an option
    teacher = instance(family.kinds[kind])
    config = replace(
        config, weights=weights, **{stage: replace(getattr(config, stage), teacher=teacher)}
    )
    assert again(config, tmp_path) == config


@settings(max_examples=60, deadline=None)
@example(name='\x85 \u2028\n', data=['a'], rate=0.1, seed=1)
@given(
    name=st.text(min_size=1),
    data=st.lists(st.sampled_from(['a', '1', 'no', '~/x', '- b', 'é', 'x' * 150]), min_size=1),
    rate=st.floats(1e-9, 0.5),
    seed=st.integers(0, 2**63),
)
def test_any_values_come_back(name, data, rate, seed, tmp_path_factory):
    config = replace(
        SUPERVISED,
        name=name,
        training_data=f'{name} ' * 20,
        data=tuple(map(Path, data)),
        phases=(PHASE, replace(PHASE, learning_rate=rate)),
        seed=seed,
    )
    assert again(config, tmp_path_factory.mktemp('c')) == config


def said(config):
    """Name and docstring of every field, in order; of ``kind``, the class's."""
    if isinstance(config, Choice):
        yield 'kind', None
    for f in fields(config):
        yield f.name, field_docs(type(config))[f.name]
        value = getattr(config, f.name)
        for below in value if isinstance(value, tuple) else (value,):
            if is_dataclass(below):
                yield from said(below)


@pytest.mark.parametrize(
    'config',
    [
        SUPERVISED,
        LabelFreeConfig(
            'n', Path('r'), 't', day=tuple(instance(each) for each in FrameSource.kinds.values())
        ),
    ],
    ids=['supervised', 'label_free'],
)
def test_the_comment_above_a_field_is_its_docstring(config):
    found, comment = [], []
    for line in to_yaml(config).splitlines():
        assert len(line) <= 99
        if match := re.match(r'\s*# (.*)', line):
            comment.append(match.group(1))
        elif match := re.match(r'\s*(?:- )?(\w+):(?: |$)', line):
            found.append((match.group(1), ' '.join(comment)))
            comment = []
    assert found.pop(0)[0] == 'recipe'
    expected = list(said(config))
    assert [name for name, _ in found] == [name for name, _ in expected]
    for (name, ours), (_, docstring) in zip(found, expected, strict=True):
        assert ours == docstring or (docstring is None and ours), name


@dataclass(frozen=True)
class Base:
    """Base."""

    first: int
    """The first,
    over two lines."""
    second: str = 'a|b'
    """Has a ``word``."""


@dataclass(frozen=True)
class Derived(Base):
    """Derived."""

    first: int = 2
    """Another first."""
    third: tuple[Base, ...] = field(default_factory=tuple)
    undocumented: bool = True

    def method(self):
        """Not a field."""

    last: float = 1.0
    'Single quotes.'


def test_docstrings_are_read_from_the_source():
    assert field_docs(Base) == {'first': 'The first, over two lines.', 'second': 'Has a `word`.'}
    assert field_docs(Derived) == {
        'first': 'Another first.',
        'second': 'Has a `word`.',
        'last': 'Single quotes.',
    }


def test_all_classes_are_found_and_where_they_stand():
    places = config_classes(LabelFreeConfig)
    assert places[LabelFreeConfig] == ['']
    schedules = [p for cls, p in places.items() if cls.__name__ == 'ScheduleConfig']
    assert schedules == [['day_depth.schedule', 'distil.schedule']]
    for family in (FrameSource, DepthTeacher, LabelTeacher):
        assert family.kinds
        assert set(family.kinds.values()) <= set(places)
    assert places[FrameSource.kinds['bag']] == ['day', 'night', 'validation']
    assert list(config_classes(SupervisedConfig).values()) == [[''], ['phases']]
    assert list(config_classes(Derived)) == [Derived, Base]


@pytest.mark.parametrize('cls', CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_and_field_is_documented(cls):
    assert cls.__doc__
    assert not cls.__doc__.startswith(f'{cls.__name__}(')  # what dataclass makes up
    assert list(field_docs(cls)) == [f.name for f in fields(cls)]


@pytest.mark.parametrize('recipe', RECIPES)
def test_the_tables_have_each_field_once(recipe):
    text = to_markdown(RECIPES[recipe])
    heading, *sections = re.split(r'^#+ ', text, flags=re.MULTILINE)
    assert not heading
    classes = config_classes(RECIPES[recipe])
    assert len(sections) == len(classes)
    for section, (cls, places) in zip(sections, classes.items(), strict=True):
        title, *lines = section.splitlines()
        assert re.findall('`(.*?)`', title)[: len(places)] == [
            p or f'recipe: {recipe}' for p in places
        ]
        rows = [line for line in lines if line.startswith('| `')]
        named = [row.split('`')[1] for row in rows]
        assert named == [f.name for f in fields(cls)]
        for row, name in zip(rows, named, strict=True):
            cells = [cell.strip() for cell in re.split(r'(?<!\\)\|', row)[1:-1]]
            assert len(cells) == 3
            assert cells[2] == field_docs(cls)[name].replace('|', r'\|')
    counts = Counter(re.findall(r'^#+ .*', text, flags=re.MULTILINE))
    assert max(counts.values()) == 1


def test_defaults_are_those_of_the_class():
    rows = dict(
        re.findall(r'^\| `(\w+)` \| (.*?) \|', to_markdown(SupervisedConfig), re.MULTILINE)
    )
    assert rows['name'] == rows['samples'] == 'required'
    assert rows['max_depth'] == '`150.0`'
    assert rows['precision'] == '`bf16`'
    rows = dict(re.findall(r'^\| `(\w+)` \| (.*?) \|', to_markdown(LabelFreeConfig), re.MULTILINE))
    assert rows['day'] == '`[]`'
    assert rows['weights'] == 'below'
    assert rows['scales'] == '`[0, 1, 2, 3]`'
    assert rows['generators'] == '`null`'
