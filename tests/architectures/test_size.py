from architectures.nets import IMAGE

from stillhouse.architectures.size import Size, sentence, size_of


def test_a_net_s_size_is_known_before_it_is_trained() -> None:
    found = size_of({"name": "mlp", "width": 5, "depth": 1}, IMAGE, "distill.student")
    assert found == Size(270 * 5 + 5 + 5 * 3 + 3, 270 * 5 + 5 * 3)


def test_what_a_search_may_make_of_it_is_told_and_whether_it_is_worth_it() -> None:
    assert sentence([Size(10, 7)], 0) == "The student has 10 parameters and 7 MACs a row."
    assert sentence([Size(2000, 900), Size(10, 7)], 5000) == (
        "The student has 10 to 2,000 parameters and 7 to 900 MACs a row; its teacher has 5,000."
    )
    assert sentence([Size(10, 7)], 10).endswith("which could be shipped as it is.")
