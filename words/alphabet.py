"""The characters that a network can write.

    >>> alphabet = Alphabet("seed")
    >>> alphabet.encode("cab")
    [13, 11, 12]
"""
from command import UserError

ALPHABETS = {
    "seed": "0123456789abcdefghijklmnopqrstuvwxyz-",
    "ascii": "".join(map(chr, range(32, 127))),  # all printable ASCII, the space among them
}


class Alphabet:
    """The characters a network can write. Character i is class i + 1; class 0 is CTC's blank and labels' padding.

    `Alphabet("seed")` and `Alphabet("ascii")` are the named ones; any other string is taken as the characters.
    """

    def __init__(self, characters):
        self.characters = ALPHABETS.get(characters, characters)
        if not self.characters or len(set(self.characters)) < len(self.characters):
            raise UserError(f"--alphabet {self.characters!r}: name each character once, and at least one")
        self.has_case = self.characters not in (self.characters.lower(), self.characters.upper())
        small = self.characters == self.characters.lower()
        self._fold = str if self.has_case else str.lower if small else str.upper
        self._classes = {character: i + 1 for i, character in enumerate(self.characters)}

    def __len__(self):
        return len(self.characters)

    def spell(self, text):
        """`text` as this alphabet writes it, and how many of its characters are outside the alphabet.

        Lower case where the alphabet has no capitals, upper case where it has only those. A character outside becomes
        "-" if the alphabet has that (the 2018 rule), and is dropped if not. A text with no character of the alphabet
        at all gives "".
        """
        text = self._fold(text)
        inside = [character in self._classes for character in text]
        if not any(inside):
            return "", len(text)
        substitute = "-" if "-" in self._classes else ""
        spelled = "".join(c if known else substitute for c, known in zip(text, inside))
        return spelled, len(text) - sum(inside)

    def encode(self, spelled):
        """Classes of a spelled text: list of int in 1..len(self)."""
        return [self._classes[character] for character in spelled]

    def decode(self, classes):
        """The text of classes in 1..len(self)."""
        return "".join(self.characters[c - 1] for c in classes)


def steps_needed(text):
    """Time steps CTC needs to write `text`: one a character, and a blank between equal neighbours."""
    return len(text) + sum(a == b for a, b in zip(text, text[1:]))
