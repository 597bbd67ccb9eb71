"""Predictions beside what others have published: every row's error, and its cause where large."""
