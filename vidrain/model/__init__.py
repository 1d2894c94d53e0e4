"""Networks: tensors in, tensors out. Nothing here knows of files, video or configuration."""
