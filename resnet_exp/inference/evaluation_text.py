"""An evaluation as lines for a terminal. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resnet_exp.core.terminal.text import plural, printable, span, text_table

if TYPE_CHECKING:
    from resnet_exp.inference.evaluation import ClassResult, Evaluated

# Of a ResNet's five halvings less is left than a pixel of anything smaller.
LEAST_SIDE = 8
# More classes are shown only at both ends: --json has all.
MOST_CLASSES, AT_ENDS = 20, 5


def text(found: Evaluated) -> str:
    """Accuracy, calibration, the best and the worst classes, other sizes."""
    rows = [
        ("images", f"{found.images:,} of {found.data_set}, {found.crop} px of {found.resize} px"),
        ("top-1", f"{found.top1:.2%}"),
        ("top-5", f"{found.top5:.2%}"),
        ("loss", f"{found.loss:.4f}"),
        ("ECE", f"{found.ece:.2%}, calibration error in {len(found.bins)} bins"),
        ("took", f"{span(found.seconds)} on the {found.device}, {found.precision}"),
    ]
    lines = [printable(found.model), *(f"  {name:<8}{value}" for name, value in rows)]
    lines += [f"  {line}" for line in text_table([("class", "images", "top-1", "precision"), *_classes(found)])]
    if found.sizes:
        sizes = [(f"{one.crop} px", f"{one.top1:.2%}", f"{one.top5:.2%}", f"{one.loss:.4f}") for one in found.sizes]
        lines += [f"  {line}" for line in text_table([("size", "top-1", "top-5", "loss"), *sizes])]
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])


def _classes(found: Evaluated) -> list[tuple[str, str, str, str]]:
    ordered = sorted(found.classes, key=lambda one: one.top1)
    if len(ordered) <= MOST_CLASSES:
        return list(map(_class, found.classes))
    left_out = f"... {plural(len(ordered) - 2 * AT_ENDS, 'class')} between: --json"
    return [*map(_class, ordered[:AT_ENDS]), (left_out, "", "", ""), *map(_class, ordered[-AT_ENDS:])]


def _class(one: ClassResult) -> tuple[str, str, str, str]:
    precision = "-" if one.precision is None else f"{one.precision:.2%}"
    return printable(one.name), f"{one.images:,}", f"{one.top1:.2%}", precision
