"""words/lexicon.py: word lists that cannot be read. What a lexicon does to a search is tested with words/ctc.py."""
import pytest

from command import UserError
from words.alphabet import Alphabet
from words.lexicon import Lexicon, load_lexicon
from words.reader import DECODING


def test_a_lexicon_that_cannot_be_read_is_named(tmp_path):
    alphabet = Alphabet("seed")
    with pytest.raises(UserError, match="--lexicon nowhere: no such file; give one with a word a line, en or none"):
        load_lexicon("nowhere", alphabet, DECODING)
    assert load_lexicon("none", alphabet, DECODING) is None
    for content in (b"", b"# only a remark\n", b"\xff\xfe\x00", b"one two three\n"):
        (tmp_path / "words.txt").write_bytes(content)
        with pytest.raises(UserError, match="words.txt: "):
            load_lexicon(tmp_path / "words.txt", alphabet, DECODING)
    (tmp_path / "words.txt").write_text("board 3\nflipchart")
    lexicon = load_lexicon(str(tmp_path / "words.txt"), alphabet, {**DECODING, "lexicon_weight": 0.25, "lexicon_margin": 4})
    assert (len(lexicon), lexicon.weight, lexicon.margin) == (2, 0.25, 4)


def test_a_lexicons_words_are_written_as_the_alphabet_can():
    alphabet = Alphabet("seed")
    lexicon = Lexicon(["cafe\u0301", "Straße", "naïve"], alphabet.characters)
    for text in ("cafe", "strasse", "naive"):
        assert alphabet.encode(text) in lexicon
    french = Alphabet("cafeé")
    assert french.encode("café") in Lexicon(["cafe\u0301"], french.characters)
    assert french.encode("cafe") not in Lexicon(["cafe\u0301"], french.characters)
