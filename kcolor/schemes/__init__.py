"""Schemes: how the parameters of a colorizer are learnt."""

from kcolor.registry import Registry

_schemes = Registry("scheme", __name__)
register = _schemes.register
names = _schemes.names
get = _schemes.get
