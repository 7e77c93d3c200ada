"""index/query.py and index/folding.py: what a query says."""
import pytest

from index.folding import fold
from index.query import TERMS, Term, other_forms, parse


@pytest.mark.parametrize("text, folded", [
    ("Café-Crème, won't", "cafe creme wont"), ("STRASSE Straße", "strasse strasse"), ("ﬁnal ２nd", "final 2nd"), ("¡¿…", ""),
    ("a\u0301b", "ab"), ("x=y+1", "x y 1"), ("İstanbul", "istanbul"), ("don’t", "dont"), ("", "")])
def test_folding(text, folded):
    assert fold(text) == folded
    assert fold(folded) == folded


@pytest.mark.parametrize("query, terms", [
    ("sprint budget", [(("sprint",), False), (("budget",), False)]),
    ('"Next Week" bud*', [(("next", "week"), False), (("bud",), True)]),
    ('a"b c"d', [(("a",), False), (("b", "c"), False), (("d",), False)]),
    ('"open phrase', [(("open",), False), (("phrase",), False)]),
    ('"next wee*"', [(("next", "wee"), True)]),
    ("anti-war", [(("anti", "war"), False)]),
    ("twice Twice TWICE!", [(("twice",), False)]),
    ('* "" ---', [])])
def test_parsing(query, terms):
    assert parse(query) == [Term(*term) for term in terms]


def test_a_query_has_an_end():
    assert len(parse(" ".join(map(str, range(10000))))) == TERMS
    assert sum(len(word) for term in parse("x" * 10 ** 6) for word in term.words) <= 1000


def test_other_forms():
    assert {"budgets"} <= set(other_forms("budget")) and "budget" in other_forms("budgets")
    assert {"city", "cities"} & set(other_forms("city")) == {"cities"} and "city" in other_forms("cities")
    assert {"planned", "box"}.isdisjoint(other_forms("box")) and "boxes" in other_forms("box")
    assert {"trace", "traces", "tracing"} <= set(other_forms("traced"))
    assert other_forms("a1b2") == other_forms("it") == []
