"""Video files: reading, writing, copying, checking. Knows nothing of models."""
