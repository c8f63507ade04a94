"""Teachers, one file a kind."""

from stillhouse.teachers.teacher import Lesson, Oracle, Teacher, oracle

__all__ = ["Lesson", "Oracle", "Teacher", "oracle"]
