"""Photos and the words on them.

page: the page format that all parts pass on; boxes: boxes.json; cutting: words upright out of a photo; drawing: what was read
where.
"""
