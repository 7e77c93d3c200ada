"""Texts without case, accents and marks, as queries and readings are compared.

    >>> fold("Café-Crème, won't")
    'cafe creme wont'
"""
import unicodedata

APOSTROPHES = "'’ʼ`´"


def fold(text):
    """Lower-case letters and digits without accents; apostrophes are left out, anything else is one space between tokens."""
    letters = []
    for character in unicodedata.normalize("NFKD", text.casefold()):
        if character.isalnum():
            letters.append(character)
        elif not unicodedata.combining(character) and character not in APOSTROPHES:
            letters.append(" ")
    return " ".join("".join(letters).split())
