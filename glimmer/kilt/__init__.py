"""KILT: file formats, validation, download, chunking, provenance, and the generated benchmark."""
