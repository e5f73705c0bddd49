"""Placeholder until the checker lands."""


class GraphError(ValueError): ...


def ensure_graph(nodes: object) -> None: ...
