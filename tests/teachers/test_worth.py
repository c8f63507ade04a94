import torch

from stillhouse.teachers.worth import worth_asking


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_rows_that_the_model_is_sure_of_are_not_asked_about() -> None:
    features = torch.randn(40, 3, generator=draw())
    sure = torch.tensor([0.999, 0.001]).repeat(40, 1)
    sure[[4, 9, 30]] = 0.5
    found = [worth_asking(sure, features, 3, draw(seed)).tolist() for seed in range(20)]
    assert [set(each) for each in found] == [{4, 9, 30}] * 20


def test_of_equally_unsure_rows_copies_of_one_are_not_asked_about_again() -> None:
    places = torch.eye(4).repeat_interleave(10, 0)  # ten copies of each of four rows
    chances = torch.full((40, 2), 0.5)
    for seed in range(20):
        found = worth_asking(chances, places, 4, draw(seed))
        assert sorted((found // 10).tolist()) == [0, 1, 2, 3]


def test_where_all_are_alike_any_will_do_and_none_comes_twice() -> None:
    found = worth_asking(torch.full((12, 3), 1 / 3), torch.ones(12, 2), 12, draw())
    assert sorted(found.tolist()) == list(range(12))


def test_distances_are_those_of_the_products_themselves() -> None:
    chances = torch.randn(6, 3, generator=draw(1)).softmax(1)
    features = torch.randn(6, 2, generator=draw(2))
    pull = chances.double() - torch.nn.functional.one_hot(chances.argmax(1), 3)
    whole = torch.cat([features.double(), torch.ones(6, 1).double()], 1)
    products = (pull[:, :, None] * whole[:, None, :]).flatten(1)
    first = int(products.square().sum(1).argmax())
    away = torch.cdist(products, products[[first]]).square().flatten()
    wanted = int(torch.multinomial(away, 1, generator=draw(5)))
    assert worth_asking(chances, features, 2, draw(5)).tolist() == [first, wanted]
