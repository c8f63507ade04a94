"""Rules over evidence, and the verdict that promotes, holds or rejects."""
