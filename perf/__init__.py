"""Measurements of this project against itself and others: ratios of things run in turn, with their spread."""
