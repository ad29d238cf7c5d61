"""Read and write YAML: numbers such as 1e-3 are floats, dates are text, duplicate keys are refused."""

from __future__ import annotations

import functools
import re
from typing import Any

FLOAT = re.compile(
    r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?$|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$"
    r"|[-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
)
"""YAML 1.1, which PyYAML follows, takes 1e-3 as text for want of a point."""
FLOAT_TAG, DATE_TAG = "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp"


def load(text: str) -> Any:
    """The value of a YAML document. Raises: ``yaml.YAMLError``."""
    import yaml

    loader_cls, _ = _classes()
    try:
        return yaml.load(text, loader_cls)
    except (ValueError, TypeError) as error:  # a number or a key that PyYAML cannot build
        raise yaml.YAMLError(str(error)) from error


def dump(tree: dict[str, Any]) -> str:
    """Plain values as YAML, in their order; :func:`load` gives them back."""
    import yaml

    _, dumper_cls = _classes()
    return yaml.dump(tree, Dumper=dumper_cls, default_flow_style=False, allow_unicode=True, sort_keys=False)


@functools.cache
def _classes() -> tuple[type, type]:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            for key in keys:
                if keys.count(key) > 1:
                    raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", node.start_mark)
            return super().construct_mapping(node, deep)

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    for yaml_class in (Loader, Dumper):
        yaml_class.yaml_implicit_resolvers = {
            first: [(tag, pattern) for tag, pattern in pairs if tag not in (FLOAT_TAG, DATE_TAG)]
            for first, pairs in yaml_class.yaml_implicit_resolvers.items()
        }
        yaml_class.add_implicit_resolver(FLOAT_TAG, FLOAT, list("-+0123456789."))
    return Loader, Dumper
