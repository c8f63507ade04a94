from pathlib import Path

from stillhouse.data.sources.breast_cancer import BreastCancer


def test_it_is_a_table_of_thirty_measures_and_two_classes(tmp_path: Path) -> None:
    found = BreastCancer().read(tmp_path)
    assert found.inputs.shape == (569, 30)
    assert found.classes == ("malignant", "benign")
    assert found.targets.bincount().tolist() == [212, 357]
    assert not found.inputs.isnan().any()
    assert (found.schema.kind, found.schema.features[0].name) == ("table", "mean radius")
