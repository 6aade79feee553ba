"""Drives the Neovim client in a real terminal, as keys are typed, and draws the terminal's screen as a picture.

    python editors/pictures/neovim.py --nvim NVIM --folder INDEXED_REPOSITORY --file src/a.py \\
        --question "How is a signature checked?" --font DejaVuSansMono.ttf --out docs/pictures/neovim.png

What is drawn is what the terminal holds, cell by cell. Needs `pyte` and `pillow` from PyPI, and `codemem` on the PATH.
"""

import argparse
import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from pathlib import Path

import pyte
from PIL import Image, ImageDraw, ImageFont

CLIENT = Path(__file__).parent.parent / "neovim"
COLUMNS, ROWS = 110, 34
SECONDS = 500
LIGHT, DARK = "#e0e2ea", "#14161b"


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, command: list[str], folder: str) -> None:
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment, start_new_session=True
        )
        os.close(slave)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def read(self, seconds: float) -> None:
        """Takes in what the program draws in so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._master], [], [], left)[0]:
                with contextlib.suppress(OSError):
                    self._stream.feed(os.read(self._master, 65536))

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not any(text in line for line in self.screen.display):
            if time.monotonic() > deadline:
                raise SystemExit(f"{text!r} never appeared:\n" + "\n".join(self.screen.display))
            self.read(0.2)

    def draw(self, font: ImageFont.FreeTypeFont) -> Image.Image:
        width, height = round(font.getlength("M")), sum(font.getmetrics()) + 2
        picture = Image.new("RGB", (COLUMNS * width, ROWS * height), DARK)
        draw = ImageDraw.Draw(picture)
        for row in range(ROWS):
            for column in range(COLUMNS):
                cell = self.screen.buffer[row][column]
                front, back = _colour(cell.fg, LIGHT), _colour(cell.bg, DARK)
                if cell.reverse:
                    front, back = back, front
                corner = (column * width, row * height)
                draw.rectangle((*corner, corner[0] + width - 1, corner[1] + height - 1), back)
                if cell.data.strip():
                    draw.text((corner[0], corner[1] + 1), cell.data, front, font)
        return picture


def _colour(name: str, default: str) -> str:
    if name == "default":
        return default
    return f"#{name}" if len(name) == 6 and all(digit in "0123456789abcdef" for digit in name.lower()) else name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("nvim", "folder", "file", "question", "font", "out"):
        parser.add_argument(f"--{name}", required=True)
    asked = parser.parse_args()
    options = f"set runtimepath^={CLIENT} termguicolors laststatus=2 noruler shortmess+=I"
    terminal = Terminal([asked.nvim, "--clean", "-n", "--cmd", options, asked.file], asked.folder)
    try:
        terminal.read(2)
        terminal.type(f":Codemem ask {asked.question}\r")
        terminal.wait_for("## Sources")
        terminal.read(1)
        terminal.type("gg0")
        terminal.read(1)
        picture = terminal.draw(ImageFont.truetype(asked.font, 13))
        picture.quantize(64).save(asked.out, optimize=True)
    finally:
        terminal.process.terminate()
        terminal.process.wait(30)


if __name__ == "__main__":
    main()
