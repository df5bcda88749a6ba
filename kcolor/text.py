"""Text for a terminal."""


def aligned(rows: list[list[str]]) -> str:
    """Returns rows whose first column stands left, all others right.

    Example:

    >>> print(aligned([["", "size"], ["net", "2 MB"]]))
           size
    net    2 MB
    """
    first, *others = (max(map(len, c)) + 2 for c in zip(*rows, strict=True))
    return "\n".join(
        f"{name:{first}}"
        + "".join(
            f"{cell:>{width}}"
            for cell, width in zip(cells, others, strict=True)
        )
        for name, *cells in rows
    )
