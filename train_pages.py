"""Fit a page network, which finds the ink and the words of whole photos.

    python train_pages.py --path iam_pages --path boards --path ink --synth 500 --strokes ondb_words.npz \\
        --save_path models --model_name pages --nbepochs 10
    python train_pages.py --path my_pages --save_path models --model_name mine --pretrained_path models/pages --lr 3e-4
    python train_pages.py --path boards --show_batch batch.png                       # look at what it would see

photos/folders.py says what a folder of pages holds. Writes SAVE_PATH/MODEL_NAME/: config.json, checkpoint.weights.h5 (best
validation loss), final.weights.h5, model.onnx, history.csv, losses.png, model_summary.txt and report.md.
"""
import contextlib
import os
import shlex
import sys
from pathlib import Path

import command
from command import UserError, whole
from fitting import recipe
from photos.network import NETWORK, SCHEMA, build_graph
from words.models import FORMAT, WEIGHTS, export, find_model, load_config, write_onnx

cv2 = command.later("cv2")
np = command.later("numpy")
render = command.later("render")
drawn_pages = command.later("render.pages")
backend = command.later("fitting.backend")
folders = command.later("fitting.folder")
history = command.later("fitting.history")
state = command.later("fitting.state")
training = command.later("fitting.training")
crops = command.later("photos.crops")
detector = command.later("photos.detector")
page_folders = command.later("photos.folders")
measures = command.later("photos.metrics")
page_network = command.later("page_network")
image_files = command.later("words.image_files")

LARGEST = 48  # px: pages whose words are larger are shrunk to that, to spare memory
DRAWN_VALID = 12  # drawn pages to validate on


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    add = parser.add_argument_group("pages").add_argument
    add("--path", action="append", default=[], metavar="DIR", help="folder of pages; give it again for more folders, each "
        "of which gives as many crops as another, twice the same to see its pages twice as often")
    add("--synth", type=whole(0, 100000), default=0, metavar="N", help="also train on N drawn pages")
    add("--fonts", type=Path, default=render.FONTS, metavar="DIR", help="faces to draw with (default: fonts/)")
    add("--lexicon", type=Path, default=render.LEXICON, metavar="FILE", help="words to draw (default: lexicons/en.txt)")
    add("--strokes", type=Path, metavar="NPZ", help="pen movements to draw from too; render.Strokes says how they are kept")
    add("--crops", type=whole(1), default=20000, metavar="N", help="crops an epoch (default 20000)")
    add("--size", type=whole(64, 2048), default=320, help="sides of a crop in px, a multiple of 32 (default 320)")
    add("--pretrained_path", action="append", default=[], metavar="MODEL",
        help="model folder, or weights in one, to start from; given again: the mean of several models' weights")
    recipe.add_options(parser, nbepochs=10, batch_size=8, lr=2e-3)
    args = parser.parse_args(argv)
    if not args.path and not args.synth:
        raise UserError("no pages to train on: give --path DIR, or --synth N for drawn pages")
    if args.size % 32:
        raise UserError(f"--size {args.size}: must be a multiple of 32")
    if not args.nbepochs and not args.pretrained_path:
        raise UserError("--nbepochs 0: trains nothing; that takes a --pretrained_path")
    for path in args.path:
        if not os.path.isdir(path):
            raise UserError(f"--path {path}: no such folder")
    for start in args.pretrained_path:
        if os.path.realpath(find_model(start)[0]) == os.path.realpath(args.save_path / args.model_name):
            raise UserError(f"--pretrained_path {start}: is the new model's own folder; give it another --model_name")
    command.new_picture(args.show_batch, args.overwrite)
    return args


# --- Pages ------------------------------------------------------------------------------------------------------

def load_pages(paths, synth, drawing, seed):
    """(sources, valid pages): the sources are lists of pages to train on, one a path, and one of drawn pages."""
    sources, valid = [], []
    for k, path in enumerate(paths):
        if path in paths[:k]:
            sources.append(sources[paths.index(path)])
            continue
        pages = page_folders.read_pages(path, LARGEST)
        sources.append([page for page in pages if page.split == "train"])
        valid += [page for page in pages if page.split == "valid"]
        if not sources[-1]:
            raise UserError(f"--path {path}: none of its pages is of the split train")
    if synth:
        renderer = render.Renderer(**drawing)
        sources.append([draw(renderer, seed, k, "train") for k in range(synth)])
        valid += [draw(renderer, seed, k, "valid") for k in range(DRAWN_VALID)]
    if not valid:
        raise UserError("no page to validate on: none of the pages is of the split valid; --synth 1 draws some")
    print(f"{command.count(sum(map(len, sources)), 'page')} to train on, {len(valid):,} to validate on")
    return sources, valid


def draw(renderer, seed, k, split):
    drawn = drawn_pages.draw_page(renderer, np.random.default_rng((seed, split == "valid", k)), split)
    return page_folders.Page(f"drawn page {k}", split, drawn.image, drawn.quads, ink=drawn.ink)


def show_batch(path, sources, size, plan):
    """Draw 24 crops as the network will see them: kernels red, ink green, what does not count darker."""
    batch, targets = page_network.PageBatches(sources, 24, size, 24, 1, seed=plan.random_state, augment=plan.augment)[0]
    tiles = []
    for image, target in zip(batch.astype(np.uint8), targets):
        target = cv2.resize(target, (size, size), interpolation=cv2.INTER_NEAREST)
        image[target[..., 0] > 0.5] = (0, 160, 0)
        image[target[..., 2] > 0] = image[target[..., 2] > 0] // 2 + np.uint8([127, 0, 0])
        image[target[..., [1, 3]].max(axis=2) == 0] //= 2
        tiles.append(image)
    image_files.write_image(path, np.vstack([np.hstack(tiles[k:k + 6]) for k in range(0, 24, 6)]))
    print(path)


# --- Training ---------------------------------------------------------------------------------------------------

def start_config(starts):
    """The config of the new model: that of the models at the paths `starts`, whose weights are there and whole."""
    configs = [load_config(find_model(path)[0], SCHEMA) for path in starts]
    for path, its in zip(starts, configs):
        export(its, find_model(path)[1], build_graph)
        if its["network"] != configs[0]["network"]:
            raise UserError(f"--pretrained_path {', '.join(starts)}: a mean takes models of the same network")
    return {"format": FORMAT, "kind": "pages", "network": configs[0]["network"] if starts else NETWORK}


def start_network(config, starts):
    """The network of `config`, with fresh weights or the mean of those of the models `starts`."""
    network = page_network.build_network(**config["network"])
    if starts:
        folders.load_mean(network, [find_model(path)[1] for path in starts])
    return network


def score_pages(folder, pages):
    """{name: number}: how well the model of a folder does on whole pages, whose scale it has to find out."""
    found = detector.load_detector(folder)
    words, ink = {0.5: np.zeros(3, int), 0.7: np.zeros(3, int)}, np.zeros(3, int)
    for page in pages:
        answer = found.find(page.levels[0])
        if page.quads is not None:
            for least, counts in words.items():
                counts += measures.match(answer.polygons, page.quads, page.ignored, least)
        if page.ink is not None:
            true, there = page.ink > 127, answer.ink > 127
            ink += (true & there).sum(), there.sum(), true.sum()
    scores = {f"word_f1_at_iou_{least}": measures.f1(*counts)["f1"] for least, counts in words.items()}
    return {"pages": len(pages), **scores, "ink_f1": float(measures.f1(*ink)["f1"])}


def settings_of(plan, config, starts, data):
    """What a resumed training must share with the interrupted one."""
    same = ("opt", "lr", "schedule", "batch_size", "nbepochs", "random_state", "augment")
    return {"network": config["network"],
            "--pretrained_path": [str(find_model(path)[1].resolve()) for path in starts],
            **{f"--{name}": str(getattr(plan, name)) for name in same}, **{name: str(value) for name, value in data.items()}}


SCORED_ON = "On {pages:,} whole validation pages, whose scale was found out; ink where a page has a mask of it:"


def finish(folder, config, network, run, valid):
    """Write what the folder of a model holds beside its weights: model.onnx, scores and report."""
    write_onnx(config, folder / WEIGHTS["final"], build_graph)
    metrics = score_pages(folder, valid)
    config["trained"]["hours"] = round(run.seconds / 3600, 2)
    kept = "last" if run.recipe.keep_last else "best"
    folders.finish(folder, network, config, metrics, kept, SCORED_ON.format(**metrics))
    print(f"{folder}: {command.count(run.batch, 'batch', 'batches')}; on {command.count(metrics['pages'], 'page')} "
          f"F1 of words {metrics['word_f1_at_iou_0.5']:.4f} at IoU 0.5, "
          f"{metrics['word_f1_at_iou_0.7']:.4f} at 0.7, of ink {metrics['ink_f1']:.4f}")


def main(argv=None):
    args = parse_args(argv)
    plan, folder, starts = recipe.Recipe.of(vars(args)), args.save_path / args.model_name, args.pretrained_path
    drawing = {name: getattr(args, name) for name in ("fonts", "lexicon", "strokes")}
    with contextlib.ExitStack() as stack:
        if not args.show_batch:
            stack.enter_context(recipe.opened(folder, args.resume, args.overwrite))
        # Models and pages are read and checked before Keras is loaded, which takes long
        config = start_config(starts)
        data = {"path": args.path, "synth": args.synth, "crops": args.crops, "size": args.size, **drawing}
        settings = settings_of(plan, config, starts, data)
        if args.resume:
            state.check_same(state.read(folder)[0], {**settings, "backend": state.keras_backend()})
        earlier = history.read_history(find_model(starts[0])[0]) if starts else ()
        sources, valid = load_pages(args.path, args.synth, drawing, plan.random_state)

        backend.choose_gpus(args.G)
        if args.show_batch:
            return show_batch(args.show_batch, sources, args.size, plan)
        print(f"on {backend.hardware()}")
        backend.keras.utils.set_random_seed(plan.random_state)
        network = start_network(config, starts)
        before = [load_config(find_model(path)[0], SCHEMA).get("trained") for path in starts]
        config["trained"] = folders.training_record(
            [*dict.fromkeys(Path(path).resolve().name for path in args.path), *["drawn pages"] * bool(args.synth)], "pages",
            sum(map(len, sources)) if plan.nbepochs else 0, len(valid),
            "python train_pages.py " + shlex.join(sys.argv[1:] if argv is None else argv), before)
        run = training.Training(folder, page_network.Validation(valid, args.size), plan, args.crops, "word_f1", settings,
                                earlier, args.tensorboard)
        training.start(network, page_network.page_loss, run, args.resume)
        command.write_json(folder / "config.json", config)
        batches = page_network.PageBatches(sources, args.crops, args.size, plan.batch_size, run.batches, run.batch,
                                           plan.random_state, plan.augment, args.workers or 1)
        training.fit(network, run, batches, bool(starts))
        finish(folder, config, network, run, valid)


if __name__ == "__main__":
    command.run(main)
