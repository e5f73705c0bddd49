"""Text that can be kept and sent on: what UTF-8 can hold."""


def check_text(text: str, what: str) -> str:
    """Return `text`, if any file, database and header can hold it.

    Args:
        what: it is, for the error: "domain".

    Raises:
        ValueError: half of a pair of surrogates stands in it; with the fix.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        half = problem.object[problem.start]
        raise ValueError(
            f"{what} can't be {text!r}: {half!r} is half a character (a surrogate), which UTF-8 "
            "can't hold; leave it out, or decode the bytes that it comes from by their own encoding"
        ) from None
    return text
