"""Code blocks and commands of Markdown pages."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"(?<!`)`(dgaal [^`]+)`(?!`)")


@dataclass(frozen=True)
class Command:
    """One command of a page, split as a shell does; without its variables and its comment."""

    line: str
    words: tuple[str, ...]
    is_mention: bool = False
    """Named in a sentence, perhaps without its arguments or the value of its last option."""


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the code blocks in these languages."""
    return [text for language, text in BLOCK.findall(page.read_text()) if language in languages]


def commands(page: Path) -> list[Command]:
    """Return the commands of the shell blocks, and those written in a sentence as ``dgaal ...``."""
    text = page.read_text()
    prose = " ".join(BLOCK.sub("", text).split())
    return [
        *(found for block in blocks(page, "sh", "console") for found in shell_commands(block)),
        *(
            replace(found, is_mention=True)
            for line in SPAN.findall(prose)
            for found in shell_commands(line)
        ),
    ]


def shell_commands(block: str) -> Iterator[Command]:
    """Yield the commands of a shell block. In a console block only lines after ``$`` count."""
    block = block.replace("\\\n", " ")
    lines = block.splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    for line in lines:
        for part in re.split(r" && ", line):
            # In a shell a comment starts at the start of a word; in shlex it may be inside.
            words = shlex.split(re.sub(r"(^|\s)#.*", "", part))
            while words and re.match(r"[A-Z_]+=", words[0]):
                words = words[1:]
            if words:
                yield Command(line=part.strip(), words=tuple(words))
