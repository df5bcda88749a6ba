"""Colours a photo by a server, over REST. Needs Python and nothing else.

python rest.py photo.jpg coloured.png
"""

import argparse
import base64
import json
import sys
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path


def colorize(photo: bytes, url: str, timeout: float) -> bytes:
    """Returns the photo in colour, a PNG of its size.

    Args:
        photo: bytes, a JPEG or PNG.
        url: str, of the model or of one of its versions or labels.
        timeout: float, seconds.

    Raises:
        OSError: The server is not there or refuses; the latter's reason is
            JSON in the error's body.
    """
    # "instances" of names that end in _bytes are base64 in an object.
    text = base64.b64encode(photo).decode()
    body = {
        "signature_name": "colorize",
        "instances": [{"image_bytes": {"b64": text}}],
    }
    request = urllib.request.Request(
        f"{url}:predict",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=timeout) as response:
        (prediction,) = json.load(response)["predictions"]
    return base64.b64decode(prediction["b64"])


def main() -> None:
    """Reads the flags and writes the photo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path, help="a JPEG or PNG")
    parser.add_argument("out", type=Path, help="where to write the PNG")
    parser.add_argument("--server", default="http://127.0.0.1:8501")
    parser.add_argument("--model", default="kcolor")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--version", type=int, help="default: the greatest")
    which.add_argument("--label", help="stable or canary")
    parser.add_argument(
        "--timeout", type=float, default=60.0, help="seconds (default: 60)"
    )
    options = parser.parse_args()
    url = f"{options.server}/v1/models/{options.model}"
    if options.version is not None:
        url += f"/versions/{options.version}"
    if options.label:
        url += f"/labels/{options.label}"
    try:
        photo = options.photo.read_bytes()
        options.out.write_bytes(colorize(photo, url, options.timeout))
    except urllib.error.HTTPError as error:
        try:
            reason = json.load(error)["error"].splitlines()[0]
        except (ValueError, KeyError, IndexError):
            reason = error.reason
        sys.exit(f"rest.py: the server refuses ({error.code}): {reason}")
    except urllib.error.URLError as error:
        sys.exit(f"rest.py: no answer from {options.server}: {error.reason}")
    except (OSError, ValueError, HTTPException) as error:
        sys.exit(f"rest.py: {error}")


if __name__ == "__main__":
    main()
