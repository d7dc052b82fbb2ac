"""config/nav2_semantic.yaml and nav2.rviz: names that exist here and there, in their own types."""

from pathlib import Path

import pytest
import yaml

from dsn_core.labels import CITYSCAPES
from dsn_ros.topics import TOPICS

CONFIG = Path(__file__).resolve().parents[2] / 'config'
OPTIONS = yaml.safe_load((CONFIG / 'nav2_semantic.yaml').read_text())['local_costmap'][
    'local_costmap'
]['ros__parameters']
SEMANTIC, OBSTACLES = OPTIONS['semantic_layer'], OPTIONS['obstacle_layer']
SOURCE = SEMANTIC['camera']

# Names and types as nav2's configuration guide and the semantic layer's README declare them, the
# same from Humble to Rolling. ROS refuses a whole number where a double is declared.
COSTMAP = {
    'global_frame': str,
    'robot_base_frame': str,
    'transform_tolerance': float,
    'update_frequency': float,
    'publish_frequency': float,
    'always_send_full_costmap': bool,
    'rolling_window': bool,
    'width': int,
    'height': int,
    'resolution': float,
    'robot_radius': float,
    'track_unknown_space': bool,
    'plugins': list,
}
SEMANTIC_SOURCE = {
    'segmentation_topic': str,
    'confidence_topic': str,
    'labels_topic': str,
    'pointcloud_topic': str,
    'observation_persistence': float,
    'expected_update_rate': float,
    'max_obstacle_distance': float,
    'min_obstacle_distance': float,
    'tile_map_decay_time': float,
    'use_cost_selection': bool,
    'visualize_tile_map': bool,
    'class_types': list,
}
CLASS_TYPE = {
    'classes': list,
    'base_cost': int,
    'max_cost': int,
    'mark_confidence': int,
    'samples_to_max_cost': int,
    'dominant_priority': bool,
}
OBSTACLE_LAYER = {
    'plugin': str,
    'enabled': bool,
    'footprint_clearing_enabled': bool,
    'combination_method': int,
    'min_obstacle_height': float,
    'max_obstacle_height': float,
    'observation_sources': str,
}
OBSTACLE_SOURCE = {
    'topic': str,
    'data_type': str,
    'marking': bool,
    'clearing': bool,
    'observation_persistence': float,
    'expected_update_rate': float,
    'min_obstacle_height': float,
    'max_obstacle_height': float,
    'obstacle_max_range': float,
    'obstacle_min_range': float,
    'raytrace_max_range': float,
    'raytrace_min_range': float,
}
INFLATION = {
    'plugin': str,
    'enabled': bool,
    'inflation_radius': float,
    'cost_scaling_factor': float,
}


def assert_typed(parameters, types):
    for name, value in parameters.items():
        if not isinstance(value, dict):
            assert name in types, name
            assert type(value) is types[name], f'{name}: {value!r}'


def test_every_parameter_is_one_of_nav2_in_its_own_type():
    assert_typed(OPTIONS, COSTMAP)
    assert {name for name, value in OPTIONS.items() if isinstance(value, dict)} == set(
        OPTIONS['plugins']
    )
    assert_typed(SEMANTIC, {'plugin': str, 'enabled': bool, 'observation_sources': str})
    assert_typed(SOURCE, SEMANTIC_SOURCE)
    assert_typed(OBSTACLES, OBSTACLE_LAYER)
    assert_typed(OPTIONS['inflation_layer'], INFLATION)
    for layer in (SEMANTIC, OBSTACLES):
        sources = {name for name, value in layer.items() if isinstance(value, dict)}
        assert sources == set(layer['observation_sources'].split())
    for source in OBSTACLES['observation_sources'].split():
        assert_typed(OBSTACLES[source], OBSTACLE_SOURCE)
    for kind in SOURCE['class_types']:
        assert SOURCE[kind].keys() == CLASS_TYPE.keys()
        assert_typed(SOURCE[kind], CLASS_TYPE)


def test_every_class_is_one_of_ours_and_is_named_once():
    named = [name for kind in SOURCE['class_types'] for name in SOURCE[kind]['classes']]
    assert sorted(named) == sorted(set(CITYSCAPES.names) - {'sky'})


def test_classes_cost_what_their_roles_say():
    for kind in SOURCE['class_types']:
        rule = SOURCE[kind]
        roles = [CITYSCAPES.classes[CITYSCAPES.id_of(name)].roles for name in rule['classes']]
        obstacle = {'obstacle' in each for each in roles}
        assert len(obstacle) == 1, kind
        assert rule['base_cost'] <= rule['max_cost'] <= 254
        assert (rule['max_cost'] == 254) == obstacle.pop()
        assert rule['dominant_priority'] == all('dynamic' in each for each in roles)
        assert rule['mark_confidence'] <= 255


def topics(parameters):
    for name, value in parameters.items():
        if isinstance(value, dict):
            yield from topics(value)
        elif name == 'topic' or name.endswith('_topic'):
            yield value


def test_every_topic_is_one_of_the_node_and_absolute():
    named = list(topics(OPTIONS))
    assert len(named) == 6
    assert {name.removeprefix('/') for name in named} <= TOPICS.keys()
    assert all(name.startswith('/') for name in named)


def test_both_layers_see_as_far_and_rays_reach_what_is_marked():
    marks, clears = (OBSTACLES[name] for name in OBSTACLES['observation_sources'].split())
    assert marks['obstacle_max_range'] == SOURCE['max_obstacle_distance']
    for each in (marks, clears):
        assert each['raytrace_max_range'] > marks['obstacle_max_range']
    assert (marks['marking'], clears['marking'], clears['clearing']) == (True, False, True)
    # The source's default of 0.0 would drop every point above the ground.
    assert marks['max_obstacle_height'] == OBSTACLES['max_obstacle_height'] > 0
    assert OPTIONS['inflation_layer']['inflation_radius'] > OPTIONS['robot_radius']


@pytest.mark.parametrize('name', ['nav2.rviz', 'perception.rviz'])
def test_rviz_shows_topics_that_exist(name):
    shown = yaml.safe_load((CONFIG / name).read_text())['Visualization Manager']['Displays']
    named = {each['Topic']['Value'] for each in shown if 'Topic' in each}
    costmap = {topic for topic in named if topic.startswith('/')}
    assert costmap == ({'/local_costmap/costmap'} if name == 'nav2.rviz' else set())
    assert named - costmap <= TOPICS.keys()
    assert len(named) >= 3
