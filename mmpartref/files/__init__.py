"""Files on the disk: reading and writing them whole."""
