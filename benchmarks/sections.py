"""Parts of a report's page as pictures, for documentation.

    python benchmarks/sections.py REPORT/index.html --out docs/odyssey \
        [--sections figures photos curves domains costs]

Writes docs/odyssey-figures.jpg and so on. Needs Debian's chromium and
chromium-driver.
"""

import argparse
import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By

SECTIONS = ("figures", "photos", "curves", "domains", "costs")
WIDTH = 1300
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--hide-scrollbars",
)


def main() -> None:
    """Writes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", required=True)
    parser.add_argument("--sections", nargs="+", default=SECTIONS)
    given = parser.parse_args()
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as profile:
        for option in (*OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(option)
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        browser = webdriver.Chrome(options, service)
        try:
            browser.get(given.page.resolve().as_uri())
            # Or photos of many targets would scroll in their box.
            browser.execute_script(
                "for (const part of document.querySelectorAll('*'))"
                " part.style.maxWidth = 'none'"
            )
            height = browser.execute_script(
                "return document.documentElement.scrollHeight"
            )
            browser.set_window_size(WIDTH, height + 200)
            for name in given.sections:
                section = browser.find_element(By.ID, name)
                picture = Image.open(io.BytesIO(section.screenshot_as_png))
                picture.convert("RGB").save(
                    f"{given.out}-{name}.jpg", quality=88, subsampling=0
                )
        finally:
            browser.quit()


if __name__ == "__main__":
    main()
