"""Pages that need no other file and no network, from templates."""

from __future__ import annotations

import base64
import io

import jinja2
import numpy as np
from PIL import Image

import kcolor


def render(template: str, **values) -> str:
    """Returns a page.

    Args:
        template: Its file's path in the package, such as "page/macros.html".
        **values: What the template speaks of.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kcolor", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template(template)
    return page.render(version=kcolor.__version__, **values)


def address(pixels: np.ndarray) -> str:
    """Returns a picture as an address that holds all of it.

    Args:
        pixels: uint8 (H, W, 3).
    """
    file = io.BytesIO()
    # Its colours at full resolution: they are what is looked at.
    Image.fromarray(pixels).save(file, "jpeg", quality=95, subsampling=0)
    data = base64.b64encode(file.getvalue()).decode()
    return f"data:image/jpeg;base64,{data}"
