"""The characters that a network can write.

    >>> alphabet = Alphabet("seed")
    >>> alphabet.encode("cab")
    [13, 11, 12]
"""
import unicodedata

from command import UserError

ALPHABETS = {
    "seed": "0123456789abcdefghijklmnopqrstuvwxyz-",
    "ascii": "".join(map(chr, range(32, 127))),  # all printable ASCII, the space among them
}


class Alphabet:
    """The characters a network can write. Character i is class i + 1; class 0 is CTC's blank and labels' padding.

    `Alphabet("seed")` and `Alphabet("ascii")` are the named ones; any other string is taken as the characters.
    """

    def __init__(self, characters: str):
        self.characters = composed(ALPHABETS.get(characters, characters))
        if not self.characters or len(set(self.characters)) < len(self.characters):
            raise UserError(f"--alphabet {self.characters!r}: name each character once, and at least one")
        self.has_case = self.characters not in (self.characters.lower(), self.characters.upper())
        small = self.characters == self.characters.lower()
        self._fold = str if self.has_case else str.lower if small else str.upper
        self._classes = {character: i + 1 for i, character in enumerate(self.characters)}

    def __len__(self):
        return len(self.characters)

    def spell(self, text: str) -> tuple[str, int]:
        """`text` as this alphabet writes it, and how many of its characters are outside the alphabet.

        Lower case where the alphabet has no capitals, upper case where it has only those. A character outside becomes its
        base letter, see `base_of`, if the alphabet has that; else "-" if it has that (the 2018 rule); else it is dropped.
        A text of which the alphabet has nothing gives "".
        """
        text = self._fold(composed(text))
        substitute = "-" if "-" in self._classes else ""
        spelled, written, outside = [], False, 0
        for character in text:
            known = character in self._classes
            base = character if known else self._fold(base_of(character))
            writable = base != "" and all(part in self._classes for part in base)
            spelled.append(base if writable else substitute)
            written, outside = written or writable, outside + (not known)
        return "".join(spelled) if written else "", outside

    def encode(self, spelled: str) -> list[int]:
        """Classes of a spelled text: list of int in 1..len(self)."""
        return [self._classes[character] for character in spelled]

    def decode(self, classes) -> str:
        """The text of classes in 1..len(self)."""
        return "".join(self.characters[c - 1] for c in classes)


def composed(text: str) -> str:
    """`text` with each letter and its marks as one character where there is one (Unicode's form NFC), as labels, alphabets
    and lexicons are compared: files from macOS have them apart."""
    return unicodedata.normalize("NFC", text)


def base_of(character: str) -> str:
    """A character without its marks: é is e, ł is l, ß is ss; "" for one that is no letter with marks."""
    base = "".join(part for part in unicodedata.normalize("NFKD", _BASES.get(character, character))
                   if not unicodedata.combining(part))
    return base if base != character and base.isalpha() else ""


# Letters that Unicode does not take apart, and what they are written as where they are missing
_BASES = {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d",
          "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "TH", "ħ": "h", "Ħ": "H", "ı": "i", "ŧ": "t", "Ŧ": "T", "ŋ": "n",
          "Ŋ": "N", "ĸ": "k", "ſ": "s"}


def steps_needed(text: str) -> int:
    """Time steps CTC needs to write `text`: one a character, and a blank between equal neighbours."""
    return len(text) + sum(a == b for a, b in zip(text, text[1:]))
