"""The command line: parses arguments and calls the commands. Nothing else; ``console`` prints and exits."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import click

import fermedia
from fermedia.console import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_SOME_FAILED, extra, run, say
from fermedia.errors import MissingExtraError
from fermedia.files import counted
from fermedia.flags import FOLDER, Names, flags
from fermedia.jobs.interrupt import take_sigterm
from fermedia.options import (
    EXPORT_FILES,
    PLOT_KINDS,
    SPREADSHEETS,
    AnalyzeOptions,
    EventOptions,
    RunOptions,
    TrainOptions,
)

_IN = click.Path(path_type=Path)
_FILE = click.Path(path_type=Path, dir_okay=False)

_EARLIER = click.option(
    "--earlier", is_flag=True, help="Include finished items that are no longer among the inputs of analyze."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(fermedia.__version__, prog_name="fermedia")
def cli() -> None:
    """Emotion timelines and annotated video from recordings of faces.

    Analyse with the included network, or train your own on FER-2013.
    """


@cli.command()
@click.argument("inputs", nargs=-1, required=True, type=_IN)
@click.option("--out", required=True, type=FOLDER, help="Folder for the results.")
@click.option(
    "--redo",
    type=click.Choice(["failed", "all"]),
    help="Analyse again what failed, or everything (also needed after a change of most options).",
)
@flags(AnalyzeOptions)
@flags(RunOptions)
@click.option(
    "--participants",
    type=_FILE,
    help="Compare people and conditions: a CSV or .xlsx with the columns item, participant (and face_id), and one for "
    "each factor, such as condition and session. Remembered by later runs into the folder; none resets it.",
)
@click.option(
    "--people",
    type=_FILE,
    help="Name faces: a CSV or .xlsx with the columns item, face_id and person, such as the one that the report page "
    "saves. The names stand beside each face_id, in videos and on pages; participants are found by their names. "
    "Remembered by later runs into the folder; none resets it.",
)
@flags(EventOptions)
@click.option(
    "--earlier/--no-earlier",
    default=None,
    help="Whether tables and pages include the results of items that are no longer among the inputs (default: no). "
    "Remembered by later runs into the folder.",
)
@click.option("--quiet", is_flag=True, help="Print no progress, only errors and warnings.")
@click.option("--json", "as_json", is_flag=True, help="Print the totals as JSON on stdout.")
def analyze(
    inputs: tuple[Path, ...],
    out: Path,
    redo: Literal["failed", "all"] | None,
    participants: Path | None,
    people: Path | None,
    earlier: bool | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Find every face in videos and photos and classify its emotion.

    INPUTS are videos, photos or folders, which are searched recursively. Each video, and all photos of one folder
    together, become one item below OUT/items, with a timeline.csv and an annotated video or annotated photos;
    OUT/items.csv and OUT/faces.csv hold the shares per item and per face, OUT/failures.csv what could not be read.

    Running the same command again continues where an earlier run stopped: finished and unchanged items are not analysed
    again. Files that are missing or damaged in OUT are written again.
    """
    from fermedia.jobs.interrupt import ended_promptly

    running = RunOptions(**{item.name: options.pop(item.name) for item in fields(RunOptions)})
    events = EventOptions(**{item.name: options.pop(item.name) for item in fields(EventOptions)})
    chosen = AnalyzeOptions(**options)
    with ended_promptly(EXIT_INTERRUPTED, "to go on, give the same command again"):
        from fermedia.jobs.batch import run_batch
        from fermedia.jobs.progress import Progress
        from fermedia.jobs.workers import executor
        from fermedia.machine import limit_malloc_arenas, use_batch_scheduling

        if chosen.runtime == "mediapipe":
            from fermedia.vision.reference import NOTICE

            say(f"fermedia: {NOTICE}", err=True)
        use_batch_scheduling()
        limit_malloc_arenas()
        with Progress(quiet) as progress:
            totals = run_batch(
                list(inputs),
                out,
                chosen,
                redo=redo,
                participants=participants,
                people=people,
                earlier=earlier,
                events=events,
                progress=progress,
                executor=executor(running),
            )
    if as_json:
        click.echo(json.dumps(totals.record()))
    elif not quiet:
        say(totals.sentence(out), err=True)
    return EXIT_SOME_FAILED if totals.failures else 0


@cli.command()
@click.argument("out", type=FOLDER, metavar="DIR")
@click.option(
    "--check", is_flag=True, help="Read all results completely and compare them with their recorded checksums."
)
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
def status(out: Path, check: bool, as_json: bool) -> int:
    """Show the state of the results of analyze in DIR: finished, failed, left to do, damaged, and the settings.

    Exit status: 0 all is finished, 3 all is finished but something failed, 1 something is left to do, damaged, or being
    worked on.
    """
    from fermedia.commands.status import read_status

    found = read_status(out, thorough=check)
    say(json.dumps(found.record()) if as_json else found.text())
    if not found.complete:
        return EXIT_FAILED
    return EXIT_SOME_FAILED if found.failures else 0


@cli.command()
@click.argument("folders", nargs=-1, required=True, type=FOLDER, metavar="DIR...")
@click.option("--out", required=True, type=_FILE, help="File to write: FILE.csv or FILE.parquet.")
@click.option(
    "--table",
    type=click.Choice(["timeline", "measures", "segments", "blinks", "photos", "items", "faces", "summary", "windows"]),
    default="timeline",
    show_default=True,
    help="Table to merge.",
)
@_EARLIER
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
def merge(folders: tuple[Path, ...], out: Path, table: str, earlier: bool, quiet: bool) -> int:
    """Join the tables of all items of runs of analyze into one file, with the columns run and item before the others.

    The participants and factors of analyze --participants follow them.

    DIR... are folders of results.
    """
    with extra("--out FILE.parquet", "parquet"):
        from fermedia.commands.merge import merge as join

        count = join(folders, out, table, earlier or None)
    if not quiet:
        say(f"{counted(count, 'row')} in {out}", err=True)
    return 0


@cli.command()
@click.argument("results", type=FOLDER, metavar="DIR")
@click.option(
    "--to",
    "format",
    type=click.Choice(SPREADSHEETS),
    required=True,
    help="xlsx: one Excel file with a sheet for each table. spss: a .sav file for each table, with labels of variables "
    "and values. excel-csv: a CSV file for each table that Excel opens by a double click.",
)
@click.option("--out", required=True, type=_IN, help="File to write, FILE.xlsx; for the other formats a folder.")
@click.option(
    "--tables",
    type=Names(),
    default=(),
    metavar="LIST",
    help="Tables to export: any of items, faces, photos, participants, conditions, comparisons, windows, courses, "
    "segments, blinks, summary, timeline, measures, failures. If not given, all but the last four.",
)
@click.option(
    "--decimal",
    type=click.Choice(["point", "comma"]),
    default="point",
    show_default=True,
    help="Decimal sign of excel-csv; with a comma, columns are separated by semicolons.",
)
@_EARLIER
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
def export(
    results: Path, format: str, out: Path, tables: tuple[str, ...], decimal: str, earlier: bool, quiet: bool
) -> int:
    """Write the tables of the results of analyze in DIR for Excel or SPSS, with the meanings of their columns."""
    with extra(f"fermedia export --to {format}", "tables"):
        from fermedia.commands.export import export as write

        written = write(results, format, out, tables, decimal, earlier or None)
    if not quiet:
        say(f"{', '.join(f'{name} ({count:,})' for name, count in written.items())} in {out}", err=True)
    return 0


@cli.command()
@click.argument("results", type=FOLDER, metavar="DIR")
@click.argument("conditions", nargs=-1, required=True, metavar="CONDITION...")
@click.option("--out", required=True, type=FOLDER, help="Folder for the segments, outside of DIR.")
@click.option(
    "--shortest",
    type=click.FloatRange(min=0),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="Minimum length of a segment, and of a gap between two segments.",
)
@click.option(
    "--export",
    type=Names(),
    default=(),
    metavar="LIST",
    help=f"Also write them in the formats of other programs: any of {','.join(EXPORT_FILES)}.",
)
@_EARLIER
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
def segments(
    results: Path,
    conditions: tuple[str, ...],
    out: Path,
    shortest: float,
    export: tuple[str, ...],
    earlier: bool,
    quiet: bool,
) -> int:
    """Find when faces in the results of analyze in DIR met conditions: "yaw>20" (with --measures) or "happy<0.2".

    A CONDITION is a column of measures, an emotion or valence, then < or >, then a number. OUT gets a folder for
    every video, with a segments.csv: when each face met which condition. Values are first averaged over the --smooth
    seconds with which DIR was made.
    """
    from fermedia.commands.segments import cut

    count = cut(results, conditions, out, shortest, export, earlier or None)
    if not quiet:
        say(f"{counted(count, 'segment')} in {out}", err=True)
    return 0


@cli.command()
@click.argument("results", type=FOLDER, metavar="DIR")
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.option(
    "--participant",
    metavar="NAME",
    help="Remove all items of a participant (analyze --participants) or person (analyze --people), if nobody else with "
    "a name is in them.",
)
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
def remove(results: Path, items: tuple[str, ...], participant: str | None, quiet: bool) -> int:
    """Take items out of the results of analyze in DIR for good, for example of a participant who withdrew.

    ITEM is a name as in summary.csv, or the path of the recording. Its tables, images and pages are deleted, and it
    disappears from all tables and pages of DIR and from the ledger, which only notes that something was removed. Later
    runs leave the recording out, also under another name. The recording itself is not deleted.
    """
    from fermedia.jobs.interrupt import ended_promptly

    if not items and participant is None:
        raise click.UsageError("nothing to remove: give the names of items, or --participant NAME")
    with ended_promptly(EXIT_INTERRUPTED, "to finish, give the same command again"):
        from fermedia.commands.remove import remove_items

        said = remove_items(results, items, participant)
    if not quiet:
        say(said, err=True)
    return 0


@cli.command()
@click.argument("results", type=FOLDER, metavar="DIR")
@click.option("--out", required=True, type=FOLDER, help="Folder for the page and its key, outside of DIR.")
@click.option(
    "--frames",
    type=click.IntRange(1, 2000),
    default=200,
    show_default=True,
    metavar="N",
    help="Number of faces to draw.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Seed of the draw.")
@_EARLIER
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
def sample(results: Path, out: Path, frames: int, seed: int, earlier: bool, quiet: bool) -> int:
    """Draw random faces from the results of analyze in DIR, for people to code without knowing what the machine says.

    OUT/sample.html is one file that works offline and can be given to any number of coders: they label each face by
    keyboard and save a CSV. Faces are drawn as equally as possible from all emotions and items. OUT/key.csv says which
    face of DIR each is; fermedia agree needs it. The recordings are read again.
    """
    from fermedia.commands.sample import draw

    said = draw(results, out, frames, seed, lambda key: None if quiet else say(key, err=True), earlier or None)
    if not quiet:
        say(said, err=True)
    return 0


@cli.command()
@click.argument("results", type=FOLDER, metavar="DIR")
@click.argument("codes", nargs=-1, required=True, type=_IN, metavar="CODES...")
@click.option("--out", required=True, type=FOLDER, help="Folder for tables, page, figure and text, outside of DIR.")
@click.option(
    "--labels",
    type=_FILE,
    help="What labels mean: a text file with lines such as smile = happy; talk = (nothing) leaves a label out.",
)
@click.option("--key", type=_FILE, help="The key.csv of fermedia sample, if CODES are its sheets.")
@click.option(
    "--tiers",
    type=Names(),
    default=(),
    metavar="LIST",
    help="Tiers of ELAN to read, separated by commas (default: all).",
)
@click.option(
    "--gaps",
    default="none",
    show_default=True,
    metavar="LABEL",
    help="What time without a code is, where coders coded periods: none (a label of its own), skip (left out), or "
    "another label, such as neutral.",
)
@click.option(
    "--participants",
    type=_FILE,
    help="A table as for analyze: intervals are then from a bootstrap over people instead of items.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Seed of the bootstrap."
)
@_EARLIER
@click.option("--quiet", is_flag=True, help="Say nothing but errors and warnings.")
def agree(
    results: Path,
    codes: tuple[Path, ...],
    out: Path,
    labels: Path | None,
    key: Path | None,
    tiers: tuple[str, ...],
    gaps: str,
    participants: Path | None,
    seed: int,
    earlier: bool,
    quiet: bool,
) -> int:
    """Compare human codes with each other and with the results of analyze in DIR: kappa, AC1, F1, ICC, confusion.

    CODES are CSV or .xlsx files with the columns item, begin, end, label (times in seconds), or item, frame or time,
    label, and optionally coder, face_id or person, valence or any measure; tables that BORIS exported (aggregated or
    tabular events); .eaf files of ELAN; or sheets of fermedia sample. A coder is called as a column or ELAN's annotator
    says, or else as the file. A folder stands for one coder, who is called as the folder and whose files are in it.

    OUT gets agreement.csv, confusion.csv, agreement.html, a figure, and method.txt, a paragraph for the method section.
    """
    from fermedia.commands.agree import agree as compare

    said, notes = compare(
        results,
        codes,
        out,
        labels=labels,
        key=key,
        tiers=tiers,
        gaps=gaps,
        participants=participants,
        seed=seed,
        earlier=earlier or None,
    )
    for note in notes:
        say(f"fermedia: {note}", err=True)
    if not quiet:
        say(said, err=True)
    return 0


@cli.command()
@click.argument("out", type=FOLDER, metavar="DIR")
@flags(EventOptions)
def report(out: Path, **options: Any) -> int:
    """Write the pages of the results in DIR again, from their tables: DIR/report.html and a page per item.

    No recording is needed. Thumbnails of faces that analyze made are used if they exist. With --events, or events that
    DIR remembers, DIR/windows.csv and DIR/courses.csv are also made.
    """
    from fermedia.commands.report import remake

    count, made = remake(out, EventOptions(**options))
    for note in made.notes:
        say(f"fermedia: {note}", err=True)
    if made.windows:
        say(f"{counted(made.windows, 'row')} in {out / 'windows.csv'}, of {counted(made.events, 'event')}", err=True)
    say(f"{counted(count, 'page')} made again; open {out / 'report.html'}", err=True)
    return 0


@cli.command()
@click.argument("out", type=FOLDER, metavar="DIR")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(PLOT_KINDS),
    help="Figure to draw; may be given several times. If not given, all that there are.",
)
@click.option(
    "--format",
    "formats",
    type=Names(),
    default=("png", "svg"),
    show_default="png,svg",
    metavar="LIST",
    help="Formats of the files: any of png (300 dpi), svg, pdf.",
)
@click.option(
    "--items",
    multiple=True,
    metavar="PATTERN",
    help="Draw these items only: names below DIR/items, or patterns such as 'week1/*'. May be given several times.",
)
@click.option(
    "--faces",
    default="",
    metavar="LIST",
    help="Draw these faces only, by their face_id or, with --people, by the person's name: Anna,2.",
)
@click.option("--emotions", type=Names(), default=(), metavar="LIST", help="Show these emotions only.  [default: all]")
@click.option(
    "--width",
    type=click.FloatRange(min=8, max=100),
    default=18.3,
    show_default=True,
    metavar="CM",
    help="Width of the figures in centimetres.",
)
@_EARLIER
@click.option(
    "--measures",
    type=Names(),
    metavar="LIST",
    help="The measures to draw over time: any columns of measures.csv, such as yaw,left_eye,jawOpen. If not given: "
    "head pose, gaze, eyes and mouth.",
)
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
def plot(
    out: Path,
    kinds: tuple[str, ...],
    formats: tuple[str, ...],
    items: tuple[str, ...],
    faces: str,
    emotions: tuple[str, ...],
    measures: tuple[str, ...] | None,
    width: float,
    earlier: bool,
    quiet: bool,
) -> int:
    """Draw figures of the results of analyze in DIR, as PNG and SVG, or PDF.

    Every item gets plots of its timeline and of each face's shares of emotions, in items/ITEM/plots; DIR/plots gets a
    heat map of all videos over time, with --participants a plot for each factor, and with --events the mean courses
    around events and the means in their windows. If faces were measured (analyze --measures), each video also gets a
    plot of its measures with blinks and speaking, and DIR/plots the mean blendshapes of each emotion and, with
    --participants, of each condition.
    """
    with extra("fermedia plot", "plots"):
        from fermedia.commands.figures import Figures, plot_results

        wanted = Figures(formats, items, faces, emotions or Figures.emotions, width, kinds, measures or ())
        said = plot_results(out, lambda key: None if quiet else say(key, err=True), earlier or None, wanted)
    if not quiet:
        say(said, err=True)
    return 0


@cli.command()
@click.option("--out", type=FOLDER, default="fermedia-demo", show_default=True, help="Folder for the results.")
def demo(out: Path) -> int:
    """Make a short clip from public-domain portraits, analyse it, and print what to open."""
    from fermedia.commands.demo import run_demo
    from fermedia.jobs.progress import Progress

    with Progress(quiet=False) as progress:
        say(run_demo(out, progress))
    return 0


@cli.command()
@click.argument("data", type=_IN)
@click.option("--out", required=True, type=FOLDER, help="Folder for tables and images.")
def dataset(data: Path, out: Path) -> int:
    """Inspect a FER-2013 data set: classes, samples, pixel statistics, blank images, repeated images.

    DATA is Kaggle's folder, a zip of it, or the original CSV.
    """
    with extra("fermedia dataset", "plots"):
        from fermedia.training.explore import explore, format_summary

        say(format_summary(explore(data, out)))
    return 0


@cli.command()
@click.argument("data", type=_IN)
@click.option(
    "--out", required=True, type=FOLDER, help="Folder for the model: a new one, or with --resume an existing one."
)
@click.option(
    "--ferplus", type=_FILE, help="FER+ votes (ferplus_votes.csv or fer2013new.csv), to train a second head on."
)
@click.option(
    "--teacher",
    "teachers",
    type=FOLDER,
    multiple=True,
    help="Folder of a finished training whose predictions to learn from, besides the labels. May be given several "
    "times.",
)
@click.option("--start", type=FOLDER, help="Folder of a finished training whose weights and width to start with.")
@click.option("--resume", is_flag=True, help="Continue the training in OUT, with its original options.")
@flags(TrainOptions)
@click.pass_context
def train(
    ctx: click.Context,
    /,
    data: Path,
    out: Path,
    ferplus: Path | None,
    teachers: tuple[Path, ...],
    start: Path | None,
    resume: bool,
    **options: Any,
) -> int:
    """Train a network from scratch on FER-2013 and write a model folder.

    The best epoch is chosen on PublicTest; PrivateTest is never used. A checkpoint is written after every epoch;
    Ctrl-C loses at most one epoch.
    """
    with extra("fermedia train"):
        from fermedia.vision.quiet import quiet_stderr

        say("loading tensorflow, which takes some seconds", err=True)
        with quiet_stderr():  # TensorFlow prints many lines when it is loaded
            from fermedia.training.session import train_model

        given = {
            k: v for k, v in options.items() if ctx.get_parameter_source(k) is not click.core.ParameterSource.DEFAULT
        }
        say(train_model(data, out, given, ferplus=ferplus, teachers=teachers, start=start, resume=resume))
    return 0


@cli.command()
@click.argument("data", type=_IN)
@click.option("--model", type=FOLDER, help="Folder of a trained model. If not given, the included one.")
@click.option(
    "--split",
    type=click.Choice(["public", "private", "test", "train", "all"]),
    help="Which images to use; test is public and private together.  [default: public; all, if data has no such parts]",
)
@click.option(
    "--faces",
    type=click.Choice(["auto", "find", "crops"]),
    default="auto",
    show_default=True,
    help="Detect the faces in the images and classify the largest of each (find), or treat the images as faces cropped "
    "like those of FER-2013 (crops); auto does the latter with images of 48x48 pixels.",
)
@click.option("--ferplus", type=_FILE, help="FER+ votes, to evaluate with the crowd's labels, too.")
@click.option(
    "--labels",
    metavar="HEAD",
    help="Output head of the model. If not given, fer2013 on FER-2013, and the model's default on other data.",
)
@click.option("--robustness", is_flag=True, help="Also evaluate images degraded in many ways; takes minutes.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Maximum number of images for --robustness.",
)
@click.option("--json", "json_file", type=_FILE, help="File to write the figures to, as JSON.")
@click.option("--out", type=FOLDER, help="Folder for the plots: confusion, reliability, robustness.")
def evaluate(
    data: Path, robustness: bool, sample: int, json_file: Path | None, out: Path | None, **options: Any
) -> int:
    """Evaluate a model on labelled images: accuracy, F1, confusion, calibration, with and without repeated images.

    DATA is FER-2013 (Kaggle's folder, a zip of it, or the original CSV), or any folder or zip with photos or cropped
    faces in folders named after some of the seven emotions. Images that are left out are reported; if some cannot be
    read, the exit status is 3.
    """
    from fermedia.store.results import keep_out
    from fermedia.training.evaluate import evaluate as measure
    from fermedia.training.evaluate import format_report, write_report

    for flag, path in (("--json", json_file), ("--out", out and out / "plots")):
        if path is not None:
            keep_out(path, flag)

    result = measure(data, robustness=sample if robustness else 0, **options)
    write_report(result, json_file=json_file)
    say(format_report(result))
    try:
        with extra("--out DIR", "plots"):
            write_report(result, out=out)
    except MissingExtraError as error:  # the evaluation is done, so its results are not discarded
        say(f"fermedia: no plots: {error}", err=True)
    return EXIT_SOME_FAILED if result["pictures"]["unreadable"] else 0


def main() -> None:
    """Entry point of the ``fermedia`` command."""
    take_sigterm()
    run(lambda: cli(standalone_mode=False))
