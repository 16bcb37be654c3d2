"""Building blocks shared by the registered models; none is registered itself."""
