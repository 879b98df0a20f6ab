"""From photographs or a video to a dataset with poses, by pycolmap: frames, features, mapping, an upright frame."""
