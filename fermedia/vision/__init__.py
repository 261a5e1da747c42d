"""Finding faces, framing them as the network was trained, classifying and following them."""
