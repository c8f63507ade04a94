from stillhouse.attacks.cascade import Cascade


def test_cheap_attacks_come_first_and_the_blind_one_last():
    found = Cascade(steps=50, queries=300).attacks
    assert [type(attack).__name__ for attack in found] == [
        "FGSM",
        "PGD",
        "APGDCE",
        "APGDTargeted",
        "Square",
    ]
    assert found[1].steps == 10
    assert found[-1].queries == 300


def test_few_steps_are_still_one():
    assert Cascade(steps=1).attacks[1].steps == 1
