"""Add what an index knows to another one: a file to a database, a database to a file.

    >>> copy(index.open_store("photos/search.index"), index.open_store("postgresql://indexer@server/photos", create=True))

What is there already stays, so that a copy that broke off is made whole by another one, and two at once do no harm.
"""
import sys

from tqdm import tqdm

from command import UserError


def copy(source, target):
    """Add all photos and files of one store to another; the counts of that afterwards. UserError if their letters differ."""
    letters = source.letters
    known = target.learn(letters if letters.startswith(target.letters) else "")
    if not known.startswith(letters):
        raise UserError(f"{target.address}: an index of another network, with other letters; copy into a new one")
    files = source.files()
    for number, photo, words, posteriors in tqdm(source.contents(), "photos", source.counts()["photos"], unit="photo",
                                                 file=sys.stderr):
        copied = target.add(photo, words, posteriors, replace=not photo["error"])
        for path, orientation, taken in (source.photo(number) or {"files": []})["files"]:
            if path in files:  # else an indexer has just added it
                _, size, modified, _ = files[path]
                target.put_file(target.name(source.file(path)), copied, size, modified, orientation, taken)
    return target.counts()
