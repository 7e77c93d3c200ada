"""The validations of a training and of those before it: history.csv and losses.png in a model's folder."""
import csv
import math
from pathlib import Path

from command import UserError, write_csv, written_whole


def read_history(folder: Path) -> list[dict]:
    """The rows of a model folder's history.csv, each a dict, those of the trainings before it first; [] without one.

    UserError if it is none.
    """
    def number(text):
        return int(text) if text.isdigit() else float(text)

    try:
        with open(folder / "history.csv", newline="", encoding="utf8", errors="surrogateescape") as file:
            history = [{"model": folder.resolve().name, **{name: value if name == "model" else number(value)
                                                 for name, value in row.items() if value}} for row in csv.DictReader(file)]
        [row[name] for row in history for name in ("batch", "loss", "val_loss")]
        return history
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{folder / 'history.csv'}: {error.strerror}; mend that or move it away") from None
    except (ValueError, KeyError, AttributeError, csv.Error):
        raise UserError(f"{folder / 'history.csv'}: not a training's, whose columns are model, numbers in batch, loss and "
                        "val_loss, and more; mend it or move it away") from None


def write_history(folder: Path, history: list[dict], score: str):
    """history.csv and losses.png of a list of validations, each a dict; one training after the other.

    score: the name of the number, 0 to 1, that is drawn beside the losses.
    """
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    names = list(dict.fromkeys(name for row in history for name in row))
    write_csv(folder / "history.csv", [names, *([row.get(name, "") for name in names] for row in history)])
    figure, axis = pyplot.subplots(figsize=(7, 4), layout="constrained")
    scores, end = axis.twinx(), 0
    for model, rows in one_by_one(history):
        batches = [end + row["batch"] for row in rows]
        axis.plot(batches, [row["loss"] for row in rows], ".-", color="tab:blue", label="training loss")
        axis.plot(batches, [row["val_loss"] for row in rows], ".-", color="tab:orange", label="validation loss")
        scores.plot(batches, [row.get(score, math.nan) for row in rows], ".--", color="tab:green",
                    label=score.replace("_", " "))
        axis.axvline(end, color="lightgrey", zorder=0)
        axis.annotate(model.encode(errors="replace").decode(), (end, 1), (3, -3), xycoords=axis.get_xaxis_transform(),
                      textcoords="offset points", rotation=90, va="top", fontsize="x-small", color="grey", parse_math=False)
        end = batches[-1]
    axis.set(xlabel="batch", ylabel="loss", yscale="log")
    axis.yaxis.set(major_formatter="{x:g}", minor_formatter=ticker.LogFormatter())
    scores.set(ylabel=f"validation: {score.replace('_', ' ')}", ylim=(0, 1))
    figure.legend(handles=[*axis.lines[:2], scores.lines[0]], loc="outside upper center", ncols=3)
    with written_whole(folder / "losses.png") as beside:
        figure.savefig(beside, dpi=100)
    pyplot.close(figure)


def one_by_one(history: list[dict]) -> list[tuple[str, list[dict]]]:
    """[(model, its rows)]: several trainings, apart; one begins where the name changes or the batch does not rise."""
    trainings = []
    for row in history:
        if not trainings or trainings[-1][0] != row["model"] or row["batch"] <= trainings[-1][1][-1]["batch"]:
            trainings.append((row["model"], []))
        trainings[-1][1].append(row)
    return trainings
