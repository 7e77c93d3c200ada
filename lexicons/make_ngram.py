"""Make the English character n-gram model from wordfreq's word frequencies and the documentation of Python.

    apt-get install python3.11-doc && pip install wordfreq
    python lexicons/make_ngram.py --text /usr/share/doc/python3.11/html/_sources -o lexicons/en.ngram.npz   # 20 seconds

wordfreq (Robyn Speer, 2022) says how often 321,180 words occur in books, subtitles, news, Wikipedia and the web; the
documentation brings identifiers and the vocabulary of programming. Licences are in en.ngram.LICENSE.txt.
"""
import collections
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # the scripts are no package
import command
from command import UserError, number, whole
from words import ngram

LONGEST = 40  # characters of a text's word; longer ones are addresses and rulers
RAREST = 1e-8  # the frequency of wordfreq's rarest words


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    add = parser.add_argument
    add("--text", type=Path, action="append", default=[], metavar="PATH",
        help="a text in UTF-8, or a folder of *.txt; give it again for more")
    add("--share", type=number(0, 0.99), default=0.15, help="of the texts' words among all (default 0.15)")
    add("--order", type=whole(2, ngram.LONGEST), default=7, help="characters of the longest n-grams (default 7)")
    add("--power", type=number(0, 1), default=0.85, help="a word counts (frequency / rarest one) ** POWER (default 0.85)")
    add("--prune", type=number(0, 1e9), default=16, help="leave n-grams out that gain less, in nats * count (default 16)")
    add("-o", dest="output", type=Path, required=True, metavar="FILE", help="the model, .ngram.npz")
    add("--overwrite", action="store_true", help="replace a file that is there")
    return parser.parse_args(argv)


def count_words(paths):
    """Counter of the words, parted by spaces and in lower case, of texts and of folders of them."""
    files = [file for path in paths for file in (sorted(path.rglob("*.txt")) if path.is_dir() else [path])]
    counts = collections.Counter()
    for file in files:
        try:
            counts.update(word for word in file.read_text(encoding="utf8").lower().split() if len(word) <= LONGEST)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--text {file}: {error}") from None
    return counts


def main(argv=None):
    args = parse_args(argv)
    command.new_file(args.output, args.overwrite)
    try:
        import wordfreq
    except ImportError:
        raise UserError("pip install wordfreq") from None
    frequencies = collections.Counter()
    for word, frequency in wordfreq.get_frequency_dict("en", "large").items():
        frequencies[word] = frequency * (1 - args.share)
    texts = ngram.spelled(count_words(args.text))
    parts = ngram.spelled(frequencies)
    total = sum(texts.values())
    for word, count in texts.items():
        if count > 1:  # once: misspelt, or a number in words
            parts[word] = parts.get(word, 0) + args.share * count / total
    tables = ngram.estimate({word: (frequency / RAREST) ** args.power for word, frequency in parts.items()}, args.order,
                            prune=args.prune)
    with command.written_whole(args.output) as path:
        ngram.save(path, tables)
    print(f"{args.output}: {command.count(len(tables['labels']) - 1, 'n-gram')} of {command.count(len(parts), 'word')}, "
          f"{args.output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    command.run(main)
