"""What a detector says at each location: the row of numbers that layers give, losses score and tasks read.

Outputs are (n, locations, FIXED + classes). A row is complete: it tells where its location lies, so that
its readers need not know how large the picture was or which levels there are.

    x1 y1 x2 y2    the box, in pixels of the picture as the network gets it
    x y stride     the middle of the location, and how far its neighbours are: the same for every picture
    quality        a logit of how good the box is, whatever it holds (FCOS: centerness)
    scores         a logit for each class
"""

from __future__ import annotations

BOX, PLACE, STRIDE, QUALITY, FIXED = slice(0, 4), slice(4, 6), 6, 7, 8
SCORES = slice(FIXED, None)
