"""Objectives: what a network's numbers mean, and how wrong they are."""

from kcolor.registry import Registry

_objectives = Registry("loss", __name__)
register = _objectives.register
names = _objectives.names
get = _objectives.get
