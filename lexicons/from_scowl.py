"""Make the English word list from SCOWL, Kevin Atkinson's word lists by how common words are (wordlist.aspell.net).

    apt-get install scowl && python lexicons/from_scowl.py /usr/share/dict/scowl > lexicons/en.txt

Its words in American and British spelling up to band 60, with names, abbreviations and contractions; possessives up to
band 35. SCOWL's notice is in en.LICENSE.txt.
"""
import sys
from pathlib import Path

# A band's words occur so often each in ten million words. Measured as the mean over the words of a band in the training
# part of the IAM database; it cannot tell the words of one band apart.
COUNTS = {10: 1900, 20: 120, 35: 18, 40: 18, 50: 12, 55: 2, 60: 1}
KINDS = ("words", "upper", "proper-names", "abbreviations", "contractions")


def read_bands(folder):
    """{word in lower case: the lowest band that it is in}"""
    bands = {}
    for band in COUNTS:
        for language in ("english", "american", "british"):
            for kind in KINDS:
                path = Path(folder) / f"{language}-{kind}.{band}"
                for word in path.read_text("latin1").lower().split() if path.exists() else ():
                    if not word.endswith("'s") or (band <= 35 and kind in ("words", "upper")):
                        bands.setdefault(word, band)
    return bands


def main():
    bands = read_bands(sys.argv[1])
    print(f"# {len(bands)} English words, and how often each occurs in ten million, by its SCOWL band; made by from_scowl.py"
          "\n# of SCOWL 2020.12.07, copyright 2000-2018 by Kevin Atkinson; notice in en.LICENSE.txt")
    for word, band in sorted(bands.items()):
        print(word, COUNTS[band])


if __name__ == "__main__":
    main()
