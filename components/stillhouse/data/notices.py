"""What is worth saying about data and stops nothing: warnings with a class, so that each can be
told apart.
"""

from stillhouse.errors import Notice


class DataNotice(Notice):
    """Something about the data that its owner should know."""


class AllTaken(DataNotice):
    """More rows were asked for than there are; all were taken."""


class ColumnLeftOut(DataNotice):
    """A column of the file is no feature: a written index, or a column without any value."""


class WindowsLeftOut(DataNotice):
    """Windows with a missing value, or recordings shorter than a window, are no rows."""


class RowsSetAside(DataNotice):
    """Unlabelled rows are in no split: as train rows they would show the model what val or test
    hold.
    """


class ClassAbsent(DataNotice):
    """A class has no row in val or test, so that nothing is measured of it there."""


class SplitUneven(DataNotice):
    """Few groups fell far from the shares that were asked for."""


class ExpectationMissed(DataNotice):
    """An expectation that is not critical failed."""
