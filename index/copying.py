"""Add what an index knows to another one: a file to a database, a database to a file.

    >>> copy(index.open_store("photos/search.index"), index.open_store("postgresql://indexer@server/photos", create=True))

What is there already stays, so that a copy that broke off is made whole by another one, and two at once do no harm.
"""
import itertools
import sys

from tqdm import tqdm

from command import UserError
from index import blocks

BATCH = 200  # photos written together


def copy(source, target):
    """Add all photos and files of one store to another; the counts of that afterwards. UserError if their letters differ."""
    letters = source.letters
    known = target.learn(letters if letters.startswith(target.letters) else "")
    if not known.startswith(letters):
        raise UserError(f"{target.address}: an index of another network, with other letters; copy into a new one")
    contents = source.contents()
    with tqdm(desc="photos", total=source.counts()["photos"], unit="photo", file=sys.stderr) as bar:
        while batch := list(itertools.islice(contents, BATCH)):
            hashes = {number: content for number, content, *_ in batch}
            files = [(target.name(source.file(path)), hashes[photo], *facts)
                     for photo, path, *facts in source.files_between(min(hashes), max(hashes)) if photo in hashes]
            target.add_copies([row[1:] for row in batch], files)
            bar.update(len(batch))
    blocks.try_to_keep(target)
    return target.counts()
