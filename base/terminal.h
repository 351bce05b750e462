// What the terminal behind a stream can show. NO_COLOR (https://no-color.org: set and not empty) turns colours off; a
// terminal that calls itself dumb (TERM=dumb, or no TERM) gets plain lines: no colours, and nothing drawn over what stands
// there.
#pragma once

namespace sotto {

bool redraws(int descriptor);  // a terminal on which a line can be drawn again
bool colours(int descriptor);  // .. and that is to show colours

}  // namespace sotto
