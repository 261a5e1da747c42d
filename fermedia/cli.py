"""The command line: parses, calls, prints, exits. Nothing else.

Exit status: 0 all well, 1 the one thing asked for failed, 2 usage, 3 some inputs failed, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import fields
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import click

import fermedia
from fermedia.errors import FermediaError, MissingExtraError, UsageError
from fermedia.files import counted, printable
from fermedia.flags import FOLDER, flags
from fermedia.options import AnalyzeOptions, RunOptions, TrainOptions

EXIT_FAILED, EXIT_USAGE, EXIT_SOME_FAILED, EXIT_INTERRUPTED = 1, 2, 3, 130

_IN = click.Path(path_type=Path)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(fermedia.__version__, prog_name="fermedia")
def cli() -> None:
    """Emotion timelines and annotated video from recordings of faces.

    Analyse with the network that ships, or train your own on FER-2013.
    """


@cli.command()
@click.argument("inputs", nargs=-1, required=True, type=_IN)
@click.option("--out", required=True, type=FOLDER, help="Folder for the results.")
@click.option(
    "--redo",
    type=click.Choice(["failed", "all"]),
    help="Do again what is done: what failed, or everything (after a change of options, too).",
)
@flags(AnalyzeOptions)
@flags(RunOptions)
@click.option(
    "--participants",
    type=_FILE,
    help="Compare people and conditions: a CSV with the columns item, participant, condition (and face_id).",
)
@click.option("--quiet", is_flag=True, help="No progress; errors and warnings only.")
@click.option("--json", "as_json", is_flag=True, help="Print the totals as JSON on stdout.")
def analyze(
    inputs: tuple[Path, ...],
    out: Path,
    redo: Literal["failed", "all"] | None,
    participants: Path | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Find every face in videos and pictures and read its emotion.

    INPUTS are videos, pictures or folders, which are walked recursively. Each video, and all pictures of one
    folder together, become one item below OUT/items, with a timeline.csv and an annotated film or pictures;
    OUT/summary.csv holds the shares per face, OUT/failures.csv what could not be read.

    The same command again goes on where an earlier one ended: what is finished and unchanged is not done again.
    """
    from fermedia.runs.interrupt import ended_promptly

    running = RunOptions(**{item.name: options.pop(item.name) for item in fields(RunOptions)})
    chosen = AnalyzeOptions(**options)
    with ended_promptly(EXIT_INTERRUPTED, "to go on, give the same command again"):
        from fermedia.machine import share_heaps, take_long_turns
        from fermedia.runs.batch import run_batch
        from fermedia.runs.progress import Progress
        from fermedia.runs.workers import executor

        if chosen.runtime == "mediapipe":
            from fermedia.vision.reference import NOTICE

            click.echo(f"fermedia: {NOTICE}", err=True)
        take_long_turns()
        share_heaps()
        with Progress(quiet) as progress:
            totals = run_batch(
                list(inputs),
                out,
                chosen,
                redo=redo,
                participants=participants,
                progress=progress,
                executor=executor(running),
            )
    if as_json:
        click.echo(json.dumps(totals.record()))
    elif not quiet:
        click.echo(totals.sentence(out), err=True)
    return EXIT_SOME_FAILED if totals.failures else 0


@cli.command()
@click.argument("out", type=FOLDER, metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(out: Path, as_json: bool) -> int:
    """Show what the results of analyze in DIR hold: finished, failed, left, and the settings.

    Exit status: 0 all is finished, 3 that but something failed, 1 something is left to do or being done.
    """
    from fermedia.runs.status import read_status

    found = read_status(out)
    click.echo(json.dumps(found.record()) if as_json else found.text())
    if not found.complete:
        return EXIT_FAILED
    return EXIT_SOME_FAILED if found.failures else 0


@cli.command()
@click.argument("folders", nargs=-1, required=True, type=FOLDER, metavar="DIR...")
@click.option("--out", required=True, type=_FILE, help="The table: FILE.csv or FILE.parquet.")
@click.option(
    "--table",
    type=click.Choice(["timeline", "segments", "summary"]),
    default="timeline",
    show_default=True,
    help="Which of the runs' tables.",
)
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
def merge(folders: tuple[Path, ...], out: Path, table: str, quiet: bool) -> int:
    """Join the tables of all items of runs of analyze into one file, with the columns run and item before the others.

    DIR... are folders of results.
    """
    with _extra("--out FILE.parquet", "parquet"):
        from fermedia.runs.merge import merge as join

        count = join(folders, out, table)
    if not quiet:
        click.echo(f"{counted(count, 'row')} in {printable(str(out))}", err=True)
    return 0


@cli.command()
@click.argument("out", type=FOLDER, metavar="DIR")
def report(out: Path) -> int:
    """Make the pages of the results in DIR again, from their tables alone: DIR/report.html and a page per item.

    No recording is needed. Pictures of faces that analyze made are used where they are.
    """
    from fermedia.runs.report import remake

    click.echo(f"{counted(remake(out), 'page')} made again; open {out / 'report.html'}", err=True)
    return 0


@cli.command()
@click.argument("out", type=FOLDER, metavar="DIR")
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
def plot(out: Path, quiet: bool) -> int:
    """Draw figures of the results of analyze in DIR, as PNG and SVG.

    Every item gets plots of its timeline and of what each face showed all in all, in items/ITEM/plots; DIR/plots has
    a heat map of all films over time.
    """
    with _extra("fermedia plot", "plots"):
        from fermedia.runs.figures import plot_results

        said = plot_results(out, lambda key: None if quiet else click.echo(printable(key), err=True))
    if not quiet:
        click.echo(said, err=True)
    return 0


@cli.command()
@click.option("--out", type=FOLDER, default="fermedia-demo", show_default=True, help="Folder for the results.")
def demo(out: Path) -> int:
    """Make a short clip from public-domain portraits, analyse it, and say what to open."""
    from fermedia.runs.demo import run_demo
    from fermedia.runs.progress import Progress

    with Progress(quiet=False) as progress:
        click.echo(run_demo(out, progress))
    return 0


@cli.command()
@click.argument("data", type=_IN)
@click.option("--out", required=True, type=FOLDER, help="Folder for tables and pictures.")
def dataset(data: Path, out: Path) -> int:
    """Look at a FER-2013 data set: classes, samples, pixels, blanks, repeats.

    DATA is Kaggle's folder, a zip of it, or the original CSV.
    """
    with _extra("fermedia dataset", "plots"):
        from fermedia.training.explore import explore, format_summary

        click.echo(format_summary(explore(data, out)))
    return 0


@cli.command()
@click.argument("data", type=_IN)
@click.option("--out", required=True, type=FOLDER, help="Folder for the model; new, or with --resume.")
@click.option("--ferplus", type=_FILE, help="FER+ votes (ferplus_votes.csv or fer2013new.csv): a second head.")
@click.option(
    "--teacher",
    "teachers",
    type=FOLDER,
    multiple=True,
    help="Folder of a finished training: learn its answers beside the labels. May be given several times.",
)
@click.option(
    "--start", type=FOLDER, help="Folder of a finished training: begin with its weights and its width, not random ones."
)
@click.option("--resume", is_flag=True, help="Go on with the training in OUT, with the options it began with.")
@flags(TrainOptions)
@click.pass_context
def train(
    ctx: click.Context,
    data: Path,
    out: Path,
    ferplus: Path | None,
    teachers: tuple[Path, ...],
    start: Path | None,
    resume: bool,
    **options: Any,
) -> int:
    """Train a network from scratch on FER-2013 and leave a model folder.

    The best epoch is chosen on PublicTest; PrivateTest is never looked at. A checkpoint is written every
    epoch; Ctrl-C loses at most one.
    """
    with _extra("fermedia train"):
        from fermedia.vision.quiet import quiet_stderr

        click.echo("loading tensorflow, which takes some seconds", err=True)
        with quiet_stderr():  # it greets at length
            from fermedia.training.session import train_model

        given = {
            k: v for k, v in options.items() if ctx.get_parameter_source(k) is not click.core.ParameterSource.DEFAULT
        }
        click.echo(train_model(data, out, given, ferplus=ferplus, teachers=teachers, start=start, resume=resume))
    return 0


@cli.command()
@click.argument("data", type=_IN)
@click.option("--model", type=FOLDER, help="A trained model's folder; the one that ships if not given.")
@click.option(
    "--split",
    type=click.Choice(["public", "private", "test", "train", "all"]),
    help="Which images; test is public and private together.  [default: public; all of data without such parts]",
)
@click.option(
    "--faces",
    type=click.Choice(["auto", "find", "crops"]),
    default="auto",
    show_default=True,
    help="Find the faces in the pictures and judge the largest of each, or take these for faces cut out as FER-2013's "
    "are; auto takes pictures of 48x48 pixels for such.",
)
@click.option("--ferplus", type=_FILE, help="FER+ votes: figures under the crowd's labels too.")
@click.option(
    "--labels",
    metavar="HEAD",
    help="Which head of the model speaks; if not given FER-2013's on FER-2013, the model's default on other data.",
)
@click.option("--robustness", is_flag=True, help="Also measure images made worse in many ways; takes minutes.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Images for --robustness, at most.",
)
@click.option("--json", "json_file", type=_FILE, help="Write the figures here as JSON.")
@click.option("--out", type=FOLDER, help="Folder for the plots: confusion, reliability, robustness.")
def evaluate(
    data: Path, robustness: bool, sample: int, json_file: Path | None, out: Path | None, **options: Any
) -> int:
    """Measure a model on labelled pictures: accuracy, F1, confusion, calibration, with and without repeated images.

    DATA is FER-2013 (Kaggle's folder, a zip of it, the original CSV), or any folder or zip with pictures in folders
    that are called by some of the seven emotions: photos or faces that were cut out. What is left out is said; if
    pictures cannot be read, the exit status is 3.
    """
    from fermedia.training.evaluate import evaluate as measure
    from fermedia.training.evaluate import format_report, write_report

    result = measure(data, robustness=sample if robustness else 0, **options)
    write_report(result, json_file=json_file)
    click.echo(format_report(result))
    try:
        with _extra("--out DIR", "plots"):
            write_report(result, out=out)
    except MissingExtraError as error:  # no reason to lose the figures
        click.echo(f"fermedia: no plots: {error}", err=True)
    return EXIT_SOME_FAILED if result["pictures"]["unreadable"] else 0


class _extra:
    """Turns a missing optional package into one line that says how to install it."""

    def __init__(self, what: str, extra: str = "train") -> None:
        self.what, self.extra = what, extra

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("fermedia"):
            raise MissingExtraError(self.what, self.extra) from error


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM ends a run as Ctrl-C does."""
    raise KeyboardInterrupt


def main() -> None:
    """Entry point of the ``fermedia`` command."""
    signal.signal(signal.SIGTERM, _terminate)
    if sys.stderr is None:  # the caller closed it, and the next file would get its number and what libraries say there
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):  # into a file Windows writes few characters, and names may have others
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except UsageError as error:
        click.echo(f"fermedia: {error}", err=True)
        status = EXIT_USAGE
    except FermediaError as error:
        click.echo(f"fermedia: {error}", err=True)
        status = EXIT_FAILED
    except BrokenPipeError:  # whoever read our output has gone
        sys.stdout = None
        status = EXIT_FAILED
    except (ImportError, OSError) as error:
        if "cannot open shared object" not in str(error):
            raise
        click.echo(f"fermedia: a system library is missing ({error}); install it, or reinstall fermedia", err=True)
        status = EXIT_FAILED
    except (KeyboardInterrupt, click.Abort) as error:  # click turns the one into the other
        how = str(error.__cause__ or error) or "to go on, give the same command again"
        click.echo(f"fermedia: interrupted; {how}", err=True)
        status = EXIT_INTERRUPTED
        # If Ctrl-C came while Python ran a piece of text, as a library does to make a class, CPython remembers that
        # and has `python -m fermedia` die of the signal, whatever the status. The next piece of text makes it forget.
        exec("")
    sys.exit(status)
