"""Tables for people: columns of text, numbers to the right."""


def table(headings, rows):
    """Plain text. A heading that begins with ">" is of a column of numbers."""
    cells = [[heading.lstrip(">") for heading in headings], *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    right = [heading.startswith(">") for heading in headings]
    return "\n".join("  ".join(cell.rjust(width) if to_right else cell.ljust(width)
                               for cell, width, to_right in zip(row, widths, right)).rstrip() for row in cells)


def markdown(headings, rows):
    lines = ["| " + " | ".join(heading.lstrip(">") for heading in headings) + " |",
             "|" + "|".join("---:" if heading.startswith(">") else "---" for heading in headings) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def number(value, digits=0):
    return "–" if value is None else f"{value:,.{digits}f}"


def us(value):
    """Microseconds, in the unit that suits."""
    if value is None:
        return "–"
    return f"{value:,.0f} µs" if value < 10_000 else f"{value / 1000:,.1f} ms" if value < 10_000_000 else f"{value / 1e6:,.1f} s"


def times(value):
    return "–" if value is None else f"{value:.2f}×"
