#!/usr/bin/env python3
"""Draws the matrix of a comparison (holdline.compare/1) as an SVG picture: a row for each supervisor, a column for each
scenario, what its repetitions came to as colours, and what was lost of what was asked.

    picture.py compare.json [SUPERVISOR]... > matrix.svg
"""

import json
import math
import sys
from html import escape

ROW, HEAD, NAME, CELL, PAD = 24, 34, 170, 190, 12
COLOURS = {"held": "#2f8f5b", "delayed": "#c9a227", "lossy": "#c4552d", "down": "#7a1f2b"}


def percent(rate):
    """A share above 0, with two digits that matter, as the comparison's own tables have it."""
    share = 100 * rate
    # Close to 100 the distance to 100 is what counts.
    first = math.floor(math.log10(100 - share if 90 < share < 100 else share))
    decimals = -first if 90 < share < 100 else 1 - first
    return f"{share:.{max(decimals, 0)}f} %"


def words(cell):
    grades = {grade: count for grade, count in cell["grades"].items() if grade in COLOURS}
    if len(grades) == 1:
        said = next(iter(grades))
    else:
        said = ", ".join(f"{grade} {grades[grade]}" for grade in COLOURS if grade in grades)
    return f"{said}, {percent(cell['rate']['estimate'])}" if cell["lost"] else said


def draw(comparison, wanted):
    cells = {(cell["scenario"], cell["supervisor"]): cell for cell in comparison["losses"]}
    silent = {(left["scenario"], left["supervisor"]): left["grade"] for left in comparison["left_out"]}
    scenarios = list(dict.fromkeys(scenario for scenario, _ in cells))
    supervisors = wanted or sorted({supervisor for _, supervisor in cells})
    known = {supervisor for _, supervisor in (*cells, *silent)}
    unknown = [name for name in supervisors if name not in known]
    if unknown:
        sys.exit(f"not in the comparison: {', '.join(unknown)}")
    width, height = NAME + CELL * len(scenarios) + 2 * PAD, HEAD + ROW * len(supervisors) + 2 * PAD
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, sans-serif" font-size="13">'
    )
    yield f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    for column, scenario in enumerate(scenarios):
        x = PAD + NAME + CELL * column
        yield f'<text x="{x + 4}" y="{PAD + 18}" font-weight="600" fill="#1b1f24">{escape(scenario)}</text>'
    for row, supervisor in enumerate(supervisors):
        y = PAD + HEAD + ROW * row
        yield f'<text x="{PAD}" y="{y + 16}" fill="#1b1f24">{escape(supervisor)}</text>'
        for column, scenario in enumerate(scenarios):
            pair = (scenario, supervisor)
            yield from draw_cell(PAD + NAME + CELL * column, y, cells.get(pair), silent.get(pair))
    yield "</svg>"


def draw_cell(x, y, cell, grade):
    """The repetitions side by side, each with its grade's colour."""
    counts = {} if cell is None else {grade: cell["grades"].get(grade, 0) for grade in COLOURS}
    total = sum(counts.values())
    if not total:
        yield f'<text x="{x + 6}" y="{y + 16}" fill="#8a939c">{escape(grade or "not measured")}</text>'
        return
    left, width = float(x), CELL - 6
    for grade, count in counts.items():
        if count:
            part = width * count / total
            yield f'<rect x="{left:.1f}" y="{y}" width="{part:.1f}" height="{ROW - 3}" fill="{COLOURS[grade]}"/>'
            left += part
    yield f'<text x="{x + 6}" y="{y + 15}" fill="#ffffff">{escape(words(cell))}</text>'


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        comparison = json.load(file)
    if comparison.get("schema") != "holdline.compare/1":
        sys.exit(f"{sys.argv[1]} is no holdline.compare/1")
    print("\n".join(draw(comparison, sys.argv[2:])))


if __name__ == "__main__":
    main()
