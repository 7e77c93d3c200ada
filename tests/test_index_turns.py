"""Turns: who goes when."""
import threading

import pytest

from index import turns


def test_the_patient_let_others_go_first_but_not_without_end(monkeypatch):
    clock, order = [0.0], []
    monkeypatch.setattr(turns.time, "monotonic", lambda: clock[0])
    some = turns.Turns(1)

    def come(name, patience):
        with some(patience):
            order.append(name)

    threads = [threading.Thread(target=come, args=each) for each in (
        ("slow", 0.25), ("quick", 0), ("quick too", 0), ("late", 0), ("later", 0))]
    with some():
        for k, thread in enumerate(threads):
            clock[0] = 0.1 * k  # the slow one waits as if it had come at 0.25
            thread.start()
            while len(some._waiting) <= k:
                pass
    for thread in threads:
        thread.join()
    assert order == ["quick", "quick too", "slow", "late", "later"]


def test_only_so_many_have_a_turn_and_an_error_gives_it_back():
    some, there, most, lock = turns.Turns(2), [0], [0], threading.Lock()

    def come(k):
        with pytest.raises(ZeroDivisionError), some(0.001 * (k % 3)):
            with lock:
                there[0] += 1
                most[0] = max(most[0], there[0])
            threading.Event().wait(0.002)
            with lock:
                there[0] -= 1
            1 / (k // 100)

    threads = [threading.Thread(target=come, args=[k]) for k in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [2] and some._free == 2 and not some._waiting
