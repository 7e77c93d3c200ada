"""Write a trained model as model.onnx, for reading without Keras.

    python export.py --model_path models/iam                      # writes models/iam/model.onnx
    python export.py --model_path models/iam --half --overwrite   # to release it: the weights file half as large, too

The file holds plain ONNX operators for any number of images at once, and in its metadata the alphabet, the image size,
how to decode, and the SHA-256 of the weights that it was made from, so that it can be used by itself and is noticed when
the weights have changed. train.py writes it at the end of a training.
"""
import command
from words import models

graph = command.later("words.graph")

# By kind of model the module with its SCHEMA and its build_graph
KINDS = {"words": command.later("words.network"), "pages": command.later("photos.network")}


def main(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("--model_path", required=True, help="model folder, or a weights file in one")
    parser.add_argument("--overwrite", action="store_true", help="replace a model.onnx that is there")
    parser.add_argument("--half", action="store_true", help="first make the weights file half as large, its numbers less "
                                                            "precise (11 bits); goes with --overwrite")
    args = parser.parse_args(argv)
    if args.half and not args.overwrite:
        raise command.UserError("--half replaces the weights file: add --overwrite")
    folder, weights = models.find_model(args.model_path)
    command.new_file(folder / models.ONNX, args.overwrite)
    kind = models.read_config(folder)["kind"]
    if kind not in KINDS:
        raise command.UserError(f"{folder}: a model of {kind} is unknown; there are those of {' and '.join(KINDS)}")
    config = models.load_config(folder, KINDS[kind].SCHEMA)
    if args.half:
        graph.halve(weights)
    print(models.write_onnx(config, weights, KINDS[kind].build_graph))


if __name__ == "__main__":
    command.run(main)
