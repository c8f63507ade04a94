from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_param_name, _validate_tag_name

from stillhouse.tracking.storable import storable, storable_name


@given(st.text(max_size=700))
def test_any_text_becomes_what_postgresql_takes(text: str) -> None:
    clean = storable(text)
    assert "\0" not in clean
    assert len(clean) <= 500
    clean.encode("utf-8")


def test_text_that_is_well_stays_as_it_is() -> None:
    assert storable("naïve Σ\u00a0x\tdistill\n🙂") == "naïve Σ\u00a0x\tdistill\n🙂"


@given(st.text(min_size=1, max_size=400))
def test_any_name_becomes_one_that_mlflow_takes(name: str) -> None:
    clean = storable_name(name)
    _validate_param_name(clean)
    _validate_tag_name(clean)


def test_our_own_names_stay_as_they_are() -> None:
    for name in ("robust/linf/accuracy", "distill.optimizer.lr", "timing/distill/train_s"):
        assert storable_name(name) == name
