def to_mermaid(nodes: object) -> str:
    return ""
