"""Architectures: what sees lightness and produces numbers for each pixel."""

from kcolor.registry import Registry

_architectures = Registry("architecture", __name__)
register = _architectures.register
names = _architectures.names
get = _architectures.get
