"""What a fitted image tells of itself: rank, spectrum, keys and neural tangent kernel (`inr-analyze`)."""
