"""An explanation to look at: as a page, as a picture, as a document, as lines on a terminal."""
