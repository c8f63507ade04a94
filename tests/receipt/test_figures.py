"""Figures are drawn where they can be read."""

from stillhouse.receipt import figures
from stillhouse.receipt.attacked import attack


def test_the_first_trial_is_not_drawn_under_the_labels_of_the_upright_axis(made):
    found = figures.history(made("promoted").receipt)
    number, _ = found["dots"][0]
    assert number == 0
    assert found["across"].share(number) > 0.1
    assert found["across"].ticks[0] >= 0
    assert found["across"].share(found["dots"][-1][0]) == 1.0


def test_attacks_are_named_as_people_name_them():
    told = [
        {"label": name, "name": name, "norm": "linf", "epsilon": 0.1}
        for name in ("pgd", "fgsm", "transfer", "my_own")
    ]
    receipt = {"evidence": {"robustness": {"attacks": told}}}
    assert [attack(receipt, entry["label"]).split(",")[0] for entry in told] == [
        "PGD",
        "FGSM",
        "Transfer",
        "My\u00a0own",
    ]
