"""Control sequences for clicks of the mouse.

Textual's own mouse mode also reports each movement, and the terminal could then no longer select
text on any screen. So only the grid asks for the mouse.
"""

CLICKS_ON = "\x1b[?1000h\x1b[?1006h"
CLICKS_OFF = "\x1b[?1006l\x1b[?1000l"
