"""Compare the codes of human coders with each other and with finished results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fermedia.errors import MissingExtraError, OutputError, UsageError
from fermedia.files import counted, few, printable, shown, sweep, write_text
from fermedia.report.agreement import Study, method_text, write_agreement_page
from fermedia.store.remembered import participants_of
from fermedia.store.results import keep_out, read_ledger, results
from fermedia.study.code_files import read_codes
from fermedia.study.codes import ALL, NAMED, NONE, read_labels, translated, unknown_items
from fermedia.study.comparison import RESAMPLES, compare
from fermedia.study.item_names import ItemNames
from fermedia.study.participants import ALL_FACES, Participants
from fermedia.study.ratings import SKIP, LostCodes, Rated, rated
from fermedia.tables.cells import cell
from fermedia.types import EMOTIONS

#: The files that are written, and the figure's name without its suffix.
AGREEMENT, CONFUSION, PAGE, METHOD, FIGURE = (
    "agreement.csv",
    "confusion.csv",
    "agreement.html",
    "method.txt",
    "agreement",
)

#: Fewer people or items than this make a rough bootstrap.
_FEW = 10


def agree(
    folder: Path,
    codes: Sequence[Path],
    out: Path,
    *,
    labels: Path | None = None,
    key: Path | None = None,
    tiers: Sequence[str] = (),
    gaps: str = "none",
    participants: Path | None = None,
    seed: int = 0,
    earlier: bool | None = None,
) -> tuple[str, list[str]]:
    """Write the agreement of coders with each other and with the results of ``folder`` into ``out``.

    Args:
        folder: The folder of results.
        codes: The coders' files (``study.codes.read_codes``).
        out: The folder to write.
        labels: A file that says what labels mean.
        key: The key of a sample, if there are sheets.
        tiers: The tiers of ELAN to read; all if there are none.
        gaps: What time without a code is: "none", "skip", or a label.
        participants: A file that says who is seen in which item, for a bootstrap over people.
        seed: The seed of the bootstrap.
        earlier: As for ``Ledger.chosen``.

    Returns:
        A sentence that says what was written, and messages about what was left out.

    Raises:
        UsageError: A file is wrong; no code is of an item of the results; ``out`` is in a folder of results.
        DataError: A table is damaged.
        OutputError: ``out`` cannot be written.
    """
    keep_out(out / PAGE)
    if gaps.strip().casefold() in ("", ALL):
        raise UsageError(f"--gaps {gaps}: must be none, skip or a label")
    gaps = next((label for label in (*EMOTIONS, NONE, SKIP) if label == gaps.strip().casefold()), cell(gaps.strip()))
    given, notes = read_codes(codes, key, tiers)
    given, more = translated(given, {} if labels is None else read_labels(labels))
    notes += more
    people = participants_of(read_ledger(folder), participants)
    finished = {item.key: item for item in results(folder, earlier)}
    names = ItemNames({key: item.about["source"] for key, item in finished.items()})
    keys, lost = unknown_items(given, names)
    if not keys:
        what = lost[0] if lost else "the files have no codes"
        raise UsageError(f"nothing can be compared: {what}")
    notes += lost
    cluster = _clusters(people, names)
    faces: list[Rated] = []
    left_out = LostCodes()
    for name, item in finished.items():
        if own := [code for code in given if keys.get(code.items) == name]:
            found, more = rated(item, own, gaps, cluster, left_out)
            faces += found
            notes += more
    notes += [*left_out.notes(), *_gaps_of(faces)]
    timed = {code.coder: code.is_period for code in given if code.items in keys}
    agreement, confusion = compare(faces, timed, RESAMPLES, seed)
    if agreement.empty:
        hints = f" ({notes[0]})" if notes else ""
        raise UsageError(f"nothing can be compared: no frame was both coded and classified{hints}")
    clusters = int(agreement["clusters"].max())
    of_what = "people" if people else "items"
    if 1 < clusters < _FEW:
        notes.append(
            f"the intervals come from {clusters} {of_what}, which is few: they are rough, and rather too narrow"
        )
    if people and (alone := sorted({face.item for face in faces if face.cluster == _alone(face.item)})):
        notes.append(
            f"{shown(people.path)} does not say who is seen in {few(alone, NAMED)}, which count as people of their own"
        )
    notes = [printable(note) for note in dict.fromkeys(notes)]
    items = len({face.item for face in faces})
    study = Study(agreement, confusion, timed, items, gaps, people is not None, RESAMPLES, notes)
    method = method_text(study)
    try:
        out.mkdir(parents=True, exist_ok=True)
        sweep(out)
        for name, table in ((AGREEMENT, agreement), (CONFUSION, confusion)):
            write_text(out / name, table.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
        write_text(out / METHOD, method)
        write_agreement_page(out / PAGE, study, method.strip())
        drawn = _draw(study, out / FIGURE)
    except OSError as error:
        raise OutputError(f"{shown(out, whole=True)}: cannot be written ({error.strerror or error})") from error
    if not drawn:
        notes.append(f"no figure: {MissingExtraError('it', 'plots')}")
    return f"agreement of {counted(len(timed), 'coder')} on {counted(items, 'item')} in {out / PAGE}", notes


def _draw(study: Study, path: Path) -> bool:
    """Draw the figure; False if matplotlib is not installed."""
    try:
        from fermedia.report.agreement_plots import plot_agreement
        from fermedia.report.plots import save
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("fermedia"):
            raise
        return False
    save(plot_agreement(study.agreement, study.confusion), path, ("png", "pdf"))
    return True


def _gaps_of(faces: Sequence[Rated]) -> list[str]:
    """Messages about items that some coders have no code of: nobody knows whether they looked."""
    by_item: dict[str, set[str]] = {}
    for face in faces:
        by_item.setdefault(face.item, set()).update(face.coders)
    notes = []
    for coder in dict.fromkeys(coder for coders in by_item.values() for coder in coders):
        if missing := [item for item, coders in by_item.items() if coder not in coders]:
            what = f"{coder} has no code of {few(missing, NAMED)}, which others coded, and is not compared there"
            notes.append(f"{what}; a row with the item and empty cells says that there was nothing to code")
    return notes


def _clusters(people: Participants | None, names: ItemNames) -> Callable[[str, str], str]:
    """Whose face it is, by an item's key and a face: a participant, or without a list of these the item."""
    if people is None:
        return lambda item, face: item
    known: dict[tuple[str | None, str], str] = {}
    for row in people.table.itertuples():
        known[names.find([str(row.item)]), str(row.face_id)] = str(row.participant)

    def cluster(item: str, face: str) -> str:
        return known.get((item, face)) or known.get((item, ALL_FACES)) or _alone(item)

    return cluster


def _alone(item: str) -> str:
    """The cluster of an item whose person is unknown: no participant has such a name, for names are on one line."""
    return f"\n{item}"
