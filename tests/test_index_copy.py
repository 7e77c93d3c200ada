"""index/copying.py: the same index in another store."""
import os

import pytest

import index
import search
from tests.fake_reader import everything, save

QUERIES = "sprint budget", '"next sprint"', "milk", "sho*", "budgets", "nothing"


def answers(place):
    found = index.open(place)
    return [[(result.file, result.score, result.matches) for result in found.find(query)] for query in QUERIES]


@pytest.mark.parametrize("forth", [True, False])
def test_a_copy_is_the_same_index(reader, database, forth):
    for path, text in (("a.png", "Sprint budget\nnext sprint"), ("b/c.png", "shopping list milk"), ("d.png", "the budgets"),
                       ("gone.png", "gone milk"), ("e.png", "broken one"), ("f.jpg", "next\nsprint")):
        save(f"photos/{path}", text)
    places = ["photos/search.index", database] if forth else [database, "photos/search.index"]
    search.main(["index", "photos", "--index", places[0]])
    os.remove("photos/gone.png")
    search.main(["index", "photos", "--index", places[0]])
    search.main(["copy", *places])
    assert everything(places[1]) == everything(places[0]) and len(everything(places[0])[1]) == 6
    assert answers(places[1]) == answers(places[0]) and all(answers(places[0])[:-1])
    search.main(["copy", *places])  # changes nothing
    assert everything(places[1]) == everything(places[0])
    reader.read_files.clear()
    save("photos/g.png", "gone milk")  # is back
    search.main(["index", "photos", "--index", places[1]])
    assert not reader.read_files
