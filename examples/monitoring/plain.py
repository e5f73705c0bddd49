"""Text from outside, made harmless for a terminal."""


def plain(text: str) -> str:
    r"""Return text with everything that could drive a terminal made visible: `\x1b`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
